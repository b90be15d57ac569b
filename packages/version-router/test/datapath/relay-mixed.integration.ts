/** One fleet of both data paths: node a has the kernel's, node b the relay. Versions meet their own, and no other. */
import t from "tap";
import { serviceTag } from "../../mark/index.ts";
import { PEER_BULK, PEER_TCP, PEER_UDP, startFleet } from "./kv-fleet.ts";
import { sh, whyNoLab } from "./lab.ts";
import type { Actor } from "./actor-handle.ts";

const REFUSED = /ECONNRESET|ECLOSED|ECONNREFUSED/;
const skip = whyNoLab();
if (skip === false) await run();
else t.plan(0, skip);

async function run(): Promise<void> {
  const { lab, a, b, a1, a2, b1, b2 } = await startFleet("kernel", "relay");
  t.teardown(() => lab.close());
  const pairs: readonly (readonly [string, Actor, string, string])[] = [
    ["v1, kernel to relay", a1, b.address, "node2-v1 10.78.0.1"],
    ["v2, kernel to relay", a2, b.address, "node2-v2 10.78.0.1"],
    ["v1, relay to kernel", b1, a.address, "node1-v1 10.78.0.2"],
    ["v2, relay to kernel", b2, a.address, "node1-v2 10.78.0.2"],
  ];

  t.test("UDP reaches the same version, up to the MTU", async (t) => {
    for (const [name, from, to, expected] of pairs) {
      for (const bytes of [0, 1, 2, 20, 33, 1455, 1456]) {
        t.match(
          await from.udp(to, PEER_UDP, bytes),
          new RegExp(`^${expected}:\\d+ intact$`),
          `${name}: ${bytes} bytes`,
        );
      }
    }
  });

  t.test("TCP reaches the same version under the true address", async (t) => {
    for (const [name, from, to, expected] of pairs) {
      for (const again of ["first", "once more"]) {
        const { id, greeting, local } = await from.connect(to, PEER_TCP);
        t.equal(greeting, `${expected}:${local.split(":")[1]}`, `${name}, ${again}`);
        t.equal(await from.echo(id, "hello"), "hello");
        await from.call("tcpClose", id);
      }
    }
  });

  t.test("many connections of both versions at once never cross", async (t) => {
    const greetings = await Promise.all(
      Array.from({ length: 50 }, () => pairs)
        .flat()
        .map(async ([, from, to, expected]) => {
          const { id, greeting } = await from.connect(to, PEER_TCP);
          await from.call("tcpClose", id);
          return greeting.startsWith(expected);
        }),
    );
    t.same(new Set(greetings), new Set([true]));
  });

  t.test("large transfers are intact", async (t) => {
    t.ok(await a1.call("tcpBulk", b.address, PEER_BULK, 32 << 20));
    t.ok(await b2.call("tcpBulk", a.address, PEER_BULK, 32 << 20));
  });

  t.test("a version unknown at the other node is refused", async (t) => {
    for (const [node, from, to] of [
      [a, a.domain(2, 3), b],
      [b, b.domain(2, 4), a],
    ] as const) {
      const domain = await from;
      await node.call("setPorts", 2, { peer: [`tcp/${PEER_TCP}`], client: [] });
      await t.rejects(domain.connect(to.address, PEER_TCP), REFUSED);
      t.equal(await to.counter("unknown_version", 0), 1);
      await node.call("detachDomain", 2);
    }
  });

  t.test("an answer whose option is lost on the way is refused at once", async (t) => {
    const nft = (rule: string) => sh("nsenter", `--net=/run/netns/${b.namespace}`, "nft", rule);
    const hook = "type filter hook ingress device uplink priority -500;";
    nft(`add table netdev lossy; add chain netdev lossy in { ${hook} }`);
    nft("add rule netdev lossy in tcp flags & (syn|ack) == (syn|ack) reset tcp option 253");
    const startedMs = Date.now();
    await t.rejects(b1.connect(a.address, PEER_TCP), REFUSED);
    t.ok(Date.now() - startedMs < 1000);
    t.ok((await b.counter("option_stripped", 1)) > 0);
    const stripped = (await b.call("peerCounters")).filter(({ verdict }) => verdict === "option_stripped");
    t.match(stripped, [{ peerAddress: a.address, service: "kv", version: 1 }]);
    t.ok(Math.abs(Date.now() - (stripped[0]?.lastSeenMs ?? 0)) < 60_000);
    nft("delete table netdev lossy");
    t.match((await b1.connect(a.address, PEER_TCP)).greeting, /^node1-v1 /);
  });

  t.test("a port that the version has not registered there is refused", async (t) => {
    for (const node of [a, b])
      await node.call("setPorts", 0, { peer: [`udp/${PEER_UDP}`, `tcp/7009`], client: [] });
    await t.rejects(a2.connect(b.address, 7009), REFUSED, "unmarked: version 2 has it at neither node");
    for (const node of [a, b])
      await node.call("setPorts", 1, { peer: [`tcp/${PEER_TCP}`, `tcp/7009`], client: [] });
    await t.rejects(b1.connect(a.address, 7009), REFUSED, "registered, nobody listens");
    t.match((await a2.connect(b.address, PEER_TCP)).greeting, /^node2-v2 /);
  });

  t.test("each hears of the other", async (t) => {
    for (const [node, peer] of [
      [a, b],
      [b, a],
    ] as const) {
      const heard = await node.call("heard");
      for (const senderVersion of [1, 2]) {
        t.ok(
          heard.some((mark) => mark.senderVersion === senderVersion && mark.peerAddress === peer.address),
          `v${senderVersion}`,
        );
      }
      t.ok(heard.every(({ tag }) => tag === serviceTag("kv")));
    }
  });

  t.test("nothing failed in the kernel", async (t) => {
    for (const node of [a, b]) t.equal(await node.counter("kernel_error"), 0);
  });
}
