import { createSocket } from "node:dgram";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import t from "tap";
import { hostListeners } from "../../ports/host-listeners.ts";
import { listeningSockets } from "../../ports/proc-net.ts";

const HEADER =
  "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode";
const line = (local: string, state: string) =>
  `   0: ${local} 00000000:0000 ${state} 00000000:00000000 00:00000000 00000000     0        0 4711 1 0000000000000000`;

t.test("listeners at every address and at the service address count, others do not", async (t) => {
  const table = [
    HEADER,
    line("00000000:0050", "0A"),
    line("01004D0A:0051", "0A"),
    line("0100007F:0052", "0A"),
    line("00000000:0053", "01"),
    "nonsense",
    "",
  ].join("\n");
  t.same(listeningSockets(table, "tcp", "10.77.0.1"), [
    { protocol: "tcp", port: 80, inode: 4711 },
    { protocol: "tcp", port: 81, inode: 4711 },
  ]);
});

t.test("IPv6 sockets that take IPv4 count", async (t) => {
  const table = [
    HEADER,
    line("00000000000000000000000000000000:0050", "0A"),
    line("0000000000000000FFFF000001004D0A:0051", "0A"),
    line("00000000000000000000000001000000:0052", "0A"),
  ].join("\n");
  t.same(
    listeningSockets(table, "tcp", "10.77.0.1").map(({ port }) => port),
    [80, 81],
  );
});

t.test("the node's IPv6 address counts", async (t) => {
  const table = [
    HEADER,
    line("000010FD000078000000000001000000:0050", "0A"),
    line("000010FD000078000000000002000000:0051", "0A"),
  ].join("\n");
  t.same(
    listeningSockets(table, "tcp", "fd10:0:78::1").map(({ port }) => port),
    [80],
  );
});

t.test("this very process is found by name and pid", { skip: process.platform !== "linux" }, async (t) => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "0.0.0.0", resolve));
  const { port } = server.address() as AddressInfo;
  const socket = createSocket("udp4");
  await new Promise<void>((resolve) => socket.bind(0, "127.0.0.9", resolve));
  t.teardown(() => {
    server.close();
    socket.close();
  });
  const found = await hostListeners(
    [`tcp/${port}`, `udp/${port}`, `udp/${socket.address().port}`],
    ["127.0.0.9"],
  );
  t.match(found.get(`tcp/${port}`), new RegExp(`pid ${process.pid}`));
  t.equal(found.has(`udp/${port}`), false);
  t.match(found.get(`udp/${socket.address().port}`), /pid/);
});
