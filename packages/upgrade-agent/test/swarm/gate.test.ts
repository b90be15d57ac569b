import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import net from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { connectFrom, endpoint, fleet, makeFile, MIB, stranger, swarmAt, until } from "./fixture.ts";

t.test("a stranger may not connect", async (t) => {
  const { file, torrent, infohash, target } = await makeFile(t, MIB);
  const a = await swarmAt(t, fleet[0]);
  await a.seed(torrent, file);
  const other = await swarmAt(t, stranger, { allowedPeers: [...fleet, stranger] });
  const controller = new AbortController();
  const { signal } = controller;
  const peers = [endpoint(fleet[0], a)];
  const fetched = t.rejects(other.download({ torrent, infohash, file: target("stolen"), peers, signal }));
  const end = await connectFrom(stranger, fleet[0], a.port);
  t.match(end, /^(ECONNRESET|closed)$/u);
  await sleep(300);
  t.match(a.list(), [{ peers: 0 }]);
  t.match(other.list(), [{ peers: 0, receivedBytes: 0 }]);
  controller.abort();
  await fetched;
});

t.test("a stranger is not connected to", async (t) => {
  const { torrent, infohash, target } = await makeFile(t, MIB);
  const connections: string[] = [];
  const trap = net.createServer((socket) => {
    connections.push(socket.remoteAddress ?? "");
    socket.destroy();
  });
  await new Promise<void>((resolve) => void trap.listen(0, stranger, resolve));
  t.teardown(() => trap.close());
  const { port } = trap.address() as net.AddressInfo;
  const a = await swarmAt(t, fleet[0]);
  const controller = new AbortController();
  const { signal } = controller;
  const fetched = t.rejects(
    a.download({ torrent, infohash, file: target("x"), peers: [`${stranger}:${port}`], signal }),
  );
  await sleep(300);
  t.same(connections, []);
  a.setAllowedPeers([...fleet, stranger]);
  await until("the stranger, now welcome", () => connections.length > 0);
  t.equal(connections[0], fleet[0], "and the connection comes from the node's own address");
  controller.abort();
  await fetched;
});

t.test("who leaves the fleet is cut off, and comes back when allowed again", async (t) => {
  const { file, content, torrent, infohash, target } = await makeFile(t, MIB);
  const a = await swarmAt(t, fleet[0], { uploadBytesPerSecond: MIB / 2 });
  const b = await swarmAt(t, fleet[1], { progressIntervalMs: 20 });
  await a.seed(torrent, file);
  const done = b.download({ torrent, infohash, file: target("b"), peers: [endpoint(fleet[0], a)] });
  await until("some bytes", () => (b.list()[0]?.receivedBytes ?? 0) > 0);
  a.setAllowedPeers([]);
  await until("the cut", () => a.list()[0]?.peers === 0 && b.list()[0]?.peers === 0);
  t.equal(b.list()[0]?.done, false);
  a.setAllowedPeers(fleet);
  await done;
  t.same(await readFile(target("b")), content);
});

t.test("garbage from a member of the fleet harms nobody else", async (t) => {
  const warnings: Error[] = [];
  const onWarning = (warning: Error) => warnings.push(warning);
  process.on("warning", onWarning);
  t.teardown(() => process.off("warning", onWarning));
  const { file, content, torrent, infohash, target } = await makeFile(t, MIB);
  const a = await swarmAt(t, fleet[0]);
  await a.seed(torrent, file);
  const protocol = Buffer.concat([
    Buffer.from([19]),
    Buffer.from("BitTorrent protocol"),
    Buffer.from("0000000000100005", "hex"),
  ]);
  const handshake = Buffer.concat([protocol, Buffer.from(infohash, "hex"), randomBytes(20)]);
  for (let round = 0; round < 60; round += 1) {
    // A message of each type with random content, bogus requests (type 6) among them; or nothing that makes sense.
    const content = randomBytes(12);
    const message = Buffer.concat([Buffer.from([0, 0, 0, 13, round % 24]), content]);
    await say(
      fleet[1],
      fleet[0],
      a.port,
      round % 10 === 9 ? content : Buffer.concat([handshake, message, message]),
    );
  }
  t.same(warnings, []);
  const b = await swarmAt(t, fleet[1]);
  await b.download({ torrent, infohash, file: target("b"), peers: [endpoint(fleet[0], a)] });
  t.same(await readFile(target("b")), content);
});

function say(localAddress: string, host: string, port: number, bytes: Buffer): Promise<void> {
  return new Promise((resolve) => {
    const socket = net.connect({ host, port, localAddress }, () => socket.write(bytes));
    socket.on("error", () => undefined);
    socket.once("close", () => resolve());
    socket.resume();
    setTimeout(() => socket.destroy(), 15);
  });
}
