/** Traffic of clients: where new connections go, and that established ones stay. */
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { CLIENT_SLOW, CLIENT_TCP, CLIENT_UDP, CLIENT_UDP_SLOW, SLOW_MS, startFleet } from "./kv-fleet.ts";
import { whyNoLab } from "./lab.ts";
import { returningClientCase } from "./returning-client.ts";

const skip = whyNoLab();
if (skip === false) await run();
else t.plan(0, skip);

async function run(): Promise<void> {
  const { lab, b, b1, b2 } = await startFleet();
  const { client } = lab;
  t.teardown(() => lab.close());
  const direct = (version: number): Promise<void> =>
    b.call("setClientPath", "kv", { kind: "direct", version });

  t.test("without a path nobody answers", async (t) => {
    await t.rejects(client.connect(b.address, CLIENT_TCP), /ECONNREFUSED/);
    t.same(await b.call("clientPaths"), {});
  });

  t.test("direct, proxy, direct: established connections stay where they are", async (t) => {
    await direct(1);
    const old = await client.connect(b.address, CLIENT_TCP);
    t.equal(old.greeting, `node2-v1 ${old.local}`, "the server sees the client's true address");
    t.equal(await b.call("directConnections", 0), 1);

    await b.host.call("tcpServe", CLIENT_TCP, "proxy");
    await b.call("setClientPath", "kv", { kind: "proxy" });
    const proxied = await client.connect(b.address, CLIENT_TCP);
    t.equal(proxied.greeting, `proxy ${proxied.local}`);
    t.equal(await client.echo(old.id, "still here"), "still here");

    await direct(2);
    t.same(await b.call("clientPaths"), { kv: { kind: "direct", version: 2 } });
    const next = await client.connect(b.address, CLIENT_TCP);
    t.equal(next.greeting, `node2-v2 ${next.local}`);
    t.equal(await client.echo(old.id, "and again"), "and again");
    t.equal(await client.echo(proxied.id, "through the proxy"), "through the proxy");
    t.equal(await b.call("directConnections", 1), 1);

    for (const { id } of [old, proxied, next]) await client.call("tcpClose", id);
    t.equal(await b.call("directConnections", 0), 0);
    t.equal(await b.call("directConnections", 1), 0);
  });

  returningClientCase(t, client, b);

  t.test("datagrams of clients follow the path, and a busy client stays", async (t) => {
    await direct(1);
    t.match(await client.udp(b.address, CLIENT_UDP, 100, 20_100), /^node2-v1 10\.78\.0\.100:20100 intact$/);
    await direct(2);
    t.match(await client.udp(b.address, CLIENT_UDP, 100, 20_100), /^node2-v1 /);
    t.match(await client.udp(b.address, CLIENT_UDP, 100, 20_101), /^node2-v2 /);
    t.equal(await b.call("resetDirectConnections", 0), 1);
    t.match(await client.udp(b.address, CLIENT_UDP, 100, 20_100), /^node2-v2 /);
  });

  t.test("datagrams: direct, proxy, direct; what went one way is answered that way", async (t) => {
    await b1.call("udpServe", CLIENT_UDP_SLOW, "node2-v1", "udp4", SLOW_MS);
    await b.host.call("udpServe", CLIENT_UDP_SLOW, "proxy", "udp4", SLOW_MS);
    await b.host.call("udpServe", CLIENT_UDP, "proxy");
    const slowly = (localPort: number): Promise<string> =>
      client.udp(b.address, CLIENT_UDP_SLOW, 100, localPort, 5_000);

    await direct(1);
    const before = slowly(20_201);
    await sleep(SLOW_MS / 4);
    await b.call("setClientPath", "kv", { kind: "proxy" });
    t.match(
      await before,
      /^node2-v1 10\.78\.0\.100:20201 intact$/,
      "sent before the switch, answered after it",
    );
    t.match(await slowly(20_201), /^node2-v1 /, "a client that talks on stays");
    t.match(await client.udp(b.address, CLIENT_UDP, 100, 20_202), /^proxy 10\.78\.0\.100:20202 intact$/);

    const proxied = slowly(20_203);
    await sleep(SLOW_MS / 4);
    await direct(2);
    t.match(await proxied, /^proxy 10\.78\.0\.100:20203 intact$/, "the proxy answers what it got");
    t.match(await client.udp(b.address, CLIENT_UDP, 100, 20_204), /^node2-v2 /);
    for (const slot of [0, 1]) await b.call("resetDirectConnections", slot);
  });

  t.test("closed: new clients are refused", async (t) => {
    await b.call("setClientPath", "kv", { kind: "closed" });
    await t.rejects(client.connect(b.address, CLIENT_SLOW), /ECONNREFUSED/);
  });

  t.test("reset: a client that speaks is told at once", async (t) => {
    await direct(1);
    const { id } = await client.connect(b.address, CLIENT_TCP);
    t.equal(await b.call("resetDirectConnections", 0), 1);
    t.equal(await b.call("directConnections", 0), 0);
    await t.rejects(client.echo(id, "anyone?"), /ECONNRESET|ECLOSED/);
  });

  t.test("reset: a client that waits for an answer is told when it would come", async (t) => {
    const { id } = await client.connect(b.address, CLIENT_SLOW);
    // The domain's bare acknowledgement may become the reset before the daemon has said that it is done.
    const told = t.rejects(client.echo(id, "slow"), /ECONNRESET|ECLOSED/);
    t.equal(await b.call("resetDirectConnections", 0), 1);
    await told;
    t.ok((await b.counter("reset", 1)) > 0);
  });

  t.test("a domain that is gone leaves its clients to the host, which refuses them", async (t) => {
    const { id } = await client.connect(b.address, CLIENT_TCP);
    await b.call("detachDomain", 0);
    await t.rejects(client.echo(id, "anyone?"), /ECONNRESET|ECLOSED/);
    t.equal(await b.call("directConnections", 0), 0);
  });

  t.test("a domain answers a client only for its own connections", async (t) => {
    await direct(2);
    const { local } = await client.connect(b.address, CLIENT_TCP);
    t.match(local, /^10\.78\.0\.100:/);
    t.equal(await b.counter("kernel_error"), 0);
    t.ok(b1 !== b2);
  });
}
