/** Traffic of clients over the relay: where new connections go, and that established ones stay. */
import t from "tap";
import { CLIENT_SLOW, CLIENT_TCP, CLIENT_UDP, startFleet } from "./kv-fleet.ts";
import { whyNoLab } from "./lab.ts";
import { returningClientCase } from "./returning-client.ts";

const skip = whyNoLab();
if (skip === false) await run();
else t.plan(0, skip);

async function run(): Promise<void> {
  const { lab, b } = await startFleet("relay", "relay");
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
    await b.host.call("udpServe", CLIENT_UDP, "proxy");
    await b.call("setClientPath", "kv", { kind: "proxy" });
    t.match(await client.udp(b.address, CLIENT_UDP, 100, 20_100), /^node2-v1 /);
    t.match(await client.udp(b.address, CLIENT_UDP, 100, 20_101), /^proxy /);
    await direct(2);
    t.match(await client.udp(b.address, CLIENT_UDP, 100, 20_100), /^node2-v1 /);
    t.match(await client.udp(b.address, CLIENT_UDP, 100, 20_102), /^node2-v2 /);
    t.equal(await b.call("resetDirectConnections", 0), 1);
    t.match(await client.udp(b.address, CLIENT_UDP, 100, 20_100), /^node2-v2 /);
  });

  t.test(
    "a datagram client whose domain is reset goes to the proxy, when the path leads there",
    async (t) => {
      await direct(1);
      t.match(await client.udp(b.address, CLIENT_UDP, 100, 20_110), /^node2-v1 /);
      await b.call("setClientPath", "kv", { kind: "proxy" });
      t.equal(await b.call("resetDirectConnections", 0), 1);
      t.match(await client.udp(b.address, CLIENT_UDP, 100, 20_110), /^proxy /);
    },
  );

  t.test("closed: new clients are refused", async (t) => {
    await b.call("setClientPath", "kv", { kind: "closed" });
    await t.rejects(client.connect(b.address, CLIENT_SLOW), /ECONNREFUSED/);
  });

  t.test("reset: a client is told at once, whether it speaks or waits", async (t) => {
    await direct(1);
    const speaks = await client.connect(b.address, CLIENT_TCP);
    const waits = await client.connect(b.address, CLIENT_SLOW);
    const answer = t.rejects(client.echo(waits.id, "slow"), /ECONNRESET|ECLOSED/);
    t.equal(await b.call("resetDirectConnections", 0), 2);
    t.equal(await b.call("directConnections", 0), 0);
    await answer;
    await t.rejects(client.echo(speaks.id, "anyone?"), /ECONNRESET|ECLOSED|ETIMEDOUT/);
    t.ok((await b.counter("reset", 1)) >= 2);
  });

  t.test("a domain that is gone leaves its clients to the host", async (t) => {
    const { id } = await client.connect(b.address, CLIENT_TCP);
    await b.call("detachDomain", 0);
    await client.call("tcpGone", id);
    t.match((await client.connect(b.address, CLIENT_TCP)).greeting, /^proxy /);
    await t.rejects(client.connect(b.address, CLIENT_SLOW), /ECONNREFUSED/);
    t.same(
      (await b.call("domains")).map(({ slot }) => slot),
      [1],
    );
  });

  t.test("nothing failed in the kernel", async (t) => t.equal(await b.counter("kernel_error"), 0));
}
