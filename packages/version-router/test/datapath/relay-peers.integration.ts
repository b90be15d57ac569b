/**
 * Traffic between servers over the relay: real TCP and UDP programs of two versions on the same ports at two nodes.
 * Expectations differ from those of the kernel's data path in one thing: a connection that the peer refuses has been
 * accepted by the relay already, so it is reset instead.
 */
import t from "tap";
import { encodeStreamMark, serviceTag } from "../../mark/index.ts";
import { PEER_BULK, PEER_TCP, PEER_UDP, PORTS, startFleet } from "./kv-fleet.ts";
import { CLIENT, whyNoLab } from "./lab.ts";
import type { Actor } from "./actor-handle.ts";

const PEER_LATE = 7003;
const REFUSED = /ECONNRESET|ECLOSED|ECONNREFUSED/;
const skip = whyNoLab();
if (skip === false) await run();
else t.plan(0, skip);

async function run(): Promise<void> {
  const { lab, a, b, a1, a2, b1, b2 } = await startFleet("relay", "relay");
  t.teardown(() => lab.close());
  const pairs: readonly (readonly [string, Actor, string, string])[] = [
    ["v1, a to b", a1, b.address, "node2-v1 10.78.0.1"],
    ["v2, a to b", a2, b.address, "node2-v2 10.78.0.1"],
    ["v1, b to a", b1, a.address, "node1-v1 10.78.0.2"],
    ["v2, b to a", b2, a.address, "node1-v2 10.78.0.2"],
  ];

  t.test("TCP reaches the same version under the true address", async (t) => {
    for (const [name, from, to, expected] of pairs) {
      const { id, greeting, local } = await from.connect(to, PEER_TCP);
      t.equal(greeting, `${expected}:${local.split(":")[1]}`, name);
      t.equal(await from.echo(id, "hello"), "hello");
      await from.call("tcpClose", id);
    }
  });

  t.test("UDP reaches the same version, up to the MTU", async (t) => {
    for (const [name, from, to, expected] of pairs) {
      for (const bytes of [0, 1, 2, 3, 19, 20, 33, 512, 1455, 1456]) {
        t.match(
          await from.udp(to, PEER_UDP, bytes),
          new RegExp(`^${expected}:\\d+ intact$`),
          `${name}: ${bytes} bytes`,
        );
      }
    }
  });

  t.test("UDP from a fixed port keeps it", async (t) => {
    t.equal(await a1.udp(b.address, PEER_UDP, 100, 20_000), "node2-v1 10.78.0.1:20000 intact");
  });

  t.test("fragments of datagrams are refused and counted", async (t) => {
    t.equal(await a1.udp(b.address, PEER_UDP, 3000, 0, 300), "");
    t.ok((await a.counter("fragment", 1)) > 0);
  });

  t.test("many connections and datagrams of both versions at once never cross", async (t) => {
    const greetings = await Promise.all(
      Array.from({ length: 300 }, async (_, index) => {
        const from = index % 2 === 0 ? a1 : a2;
        const expected = `node2-v${(index % 2) + 1} `;
        if (index % 3 === 0) return (await from.udp(b.address, PEER_UDP, index)).startsWith(expected);
        const { id, greeting } = await from.connect(b.address, PEER_TCP);
        await from.call("tcpClose", id);
        return greeting.startsWith(expected);
      }),
    );
    t.same(new Set(greetings), new Set([true]));
  });

  t.test("large transfers are intact, and their end arrives: the answer follows it", async (t) => {
    t.ok(await a1.call("tcpBulk", b.address, PEER_BULK, 64 << 20));
    t.ok(await b2.call("tcpBulk", a.address, PEER_BULK, 64 << 20));
    t.ok(await a2.call("tcpBulk", b.address, PEER_BULK, 0), "an empty stream too");
  });

  t.test("a receiver that does not read holds its sender back, and loses nothing", async (t) => {
    const bytes = 128 << 20;
    await b1.call("tcpServeLate", PEER_LATE, 1500);
    for (const node of [a, b]) {
      const peer = [...PORTS.peer, `tcp/${PEER_LATE}`] as const;
      await node.call("setPorts", 0, { peer, client: [] });
    }
    const { taken, intact } = await a1.call<{ taken: number; intact: boolean }>(
      "tcpLate",
      b.address,
      PEER_LATE,
      bytes,
      1000,
    );
    t.ok(taken < bytes / 2, `${taken} bytes were under way`);
    t.ok(intact);
  });

  t.test("a version unknown there is refused, and heard of", async (t) => {
    const a3 = await a.domain(2, 3);
    await a.call("setPorts", 2, { peer: [`tcp/${PEER_TCP}`, `udp/${PEER_UDP}`], client: [] });
    await a.call("setAdvertisement", serviceTag("kv"), { version: 4, status: "available" });
    await t.rejects(a3.connect(b.address, PEER_TCP), REFUSED);
    t.equal(await a3.udp(b.address, PEER_UDP, 20, 0, 300), "");
    t.equal(await b.counter("unknown_version", 0), 2);
    const heard = (await b.call("heard")).filter((mark) => mark.senderVersion === 3);
    t.match(heard, [
      { peerAddress: a.address, tag: serviceTag("kv"), advertisement: { version: 4, status: "available" } },
    ]);
    t.ok(Math.abs(Date.now() - (heard[0]?.lastHeardMs ?? 0)) < 60_000);
    await a.call("setAdvertisement", serviceTag("kv"), undefined);
    await a.call("detachDomain", 2);
  });

  t.test("both ends of a connection hear the other's mark", async (t) => {
    for (const [node, peer] of [
      [a, b],
      [b, a],
    ] as const) {
      const heard = await node.call("heard");
      t.match(
        heard.find((mark) => mark.senderVersion === 2),
        {
          peerAddress: peer.address,
          advertisement: { version: 2, status: "running" },
        },
      );
    }
  });

  t.test("what comes unmarked to a peer port is refused", async (t) => {
    const { id } = await lab.client.call<{ id: number }>("tcpOpen", b.address, PEER_TCP);
    await t.rejects(lab.client.echo(id, "no mark, but more than sixteen bytes"), REFUSED);
    t.equal(await lab.client.udp(b.address, PEER_UDP, 20, 0, 300), "");
    t.equal(await b.counter("unmarked"), 2);
  });

  t.test("a mark may come byte by byte", async (t) => {
    const mark = encodeStreamMark({ tag: serviceTag("kv"), version: 2, advertisement: undefined });
    const { id } = await lab.client.call<{ id: number }>("tcpOpen", b.address, PEER_TCP);
    const sent = Buffer.from(mark).toString("hex");
    const answer = await lab.client.call<string>("tcpBytes", id, sent, "node2-v2 ");
    t.match(answer, /^VR.*node2-v2 10\.78\.0\.100:\d+/s, "its answer's mark, then the greeting");
  });

  t.test("a peer without Version Manager is never spoken to", async (t) => {
    await lab.client.call("tcpServe", PEER_TCP, "stranger");
    await lab.client.call("udpServe", PEER_UDP, "stranger");
    await t.rejects(a1.connect(CLIENT, PEER_TCP), REFUSED);
    t.equal(await a1.udp(CLIENT, PEER_UDP, 20, 0, 300), "");
    t.equal(await a.counter("unmanaged", 1), 2);
  });

  t.test("one that is thought to have it, and answers without a mark, gets no payload", async (t) => {
    await a.call("setManagedPeers", [a.address, b.address, CLIENT]);
    await t.rejects(a1.connect(CLIENT, PEER_TCP), REFUSED);
    t.equal(await a.counter("unmarked", 1), 1);
    await a.call("setManagedPeers", [a.address, b.address]);
  });

  t.test("two versions cannot share a 5-tuple", async (t) => {
    const first = await a1.connect(b.address, PEER_TCP, 20_001);
    await t.rejects(a2.connect(b.address, PEER_TCP, 20_001), REFUSED);
    t.equal(await a.counter("tuple_in_use", 2), 1);
    t.equal(await a1.echo(first.id, "mine"), "mine");
    await a1.call("tcpClose", first.id);
  });

  t.test("a port that the version has not registered is refused", async (t) => {
    await b.call("setPorts", 0, { peer: [`udp/${PEER_UDP}`], client: [] });
    await t.rejects(a1.connect(b.address, PEER_TCP), REFUSED);
    t.match((await a2.connect(b.address, PEER_TCP)).greeting, /^node2-v2 /);
    t.equal(await b.counter("port_not_registered", 1), 1);
  });

  t.test("a domain that is detached leaves no connection behind", async (t) => {
    const { id } = await a2.connect(b.address, PEER_TCP);
    const closed = a2.echo(id, "").then(() => a2.call("tcpGone", id));
    await b.call("detachDomain", 1);
    await closed;
    t.ok((await b.counter("reset", 2)) >= 1);
  });

  t.test("nothing failed in the kernel", async (t) => {
    for (const node of [a, b]) t.equal(await node.counter("kernel_error"), 0);
  });
}
