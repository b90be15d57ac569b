/**
 * The same promises over IPv6, with real sockets: each version meets only its own, on the same ports, under true
 * addresses; clients are led; strangers and other versions are refused.
 */
import t from "tap";
import { serviceTag } from "../../mark/index.ts";
import { CLIENT_TCP, CLIENT_UDP, PEER_BULK, PEER_TCP, PEER_UDP, PORTS } from "./kv-fleet.ts";
import { CLIENT6, Lab, sh, whyNoLab } from "./lab.ts";
import type { Actor } from "./actor-handle.ts";
import type { LabNode } from "./lab.ts";

/** What fits beside the headers of IPv6, UDP and the mark at an uplink's MTU of 1500. */
const DATAGRAM_BYTES_MAX = 1500 - 40 - 8 - 16;

const skip = whyNoLab();
if (skip === false) await run();
else t.plan(0, skip);

/** A domain whose program listens over IPv6 only, and calls itself `node<N>-v<version>`. */
async function serve6(
  node: LabNode,
  slot: number,
  version: number,
  make = (): Promise<Actor> => node.domain(slot, version),
): Promise<Actor> {
  const domain = await make();
  await node.call("setPorts", slot, PORTS);
  const name = `node${node.number}-v${version}`;
  for (const port of [PEER_TCP, CLIENT_TCP]) await domain.call("tcpServe", port, name, "echo", 0, "::");
  await domain.call("tcpServe", PEER_BULK, name, "hash", 0, "::");
  for (const port of [PEER_UDP, CLIENT_UDP]) await domain.call("udpServe", port, name, "udp6");
  return domain;
}

async function run(): Promise<void> {
  const lab = await Lab.create(2, [], true);
  t.teardown(() => lab.close());
  const [a, b] = lab.nodes as [LabNode, LabNode];
  for (const node of lab.nodes) await node.call("setManagedPeers", [a.address6, b.address6]);
  const a1 = await serve6(a, 0, 1);
  const a2 = await serve6(a, 1, 2, () => a.machine(1, 2, "on"));
  const b1 = await serve6(b, 0, 1);
  const b2 = await serve6(b, 1, 2, () => b.machine(1, 2, "off"));
  const pairs: readonly (readonly [string, Actor, string, string])[] = [
    ["v1, a to b", a1, b.address6, "node2-v1 fd10:78::1"],
    ["v2, a to b", a2, b.address6, "node2-v2 fd10:78::1"],
    ["v1, b to a", b1, a.address6, "node1-v1 fd10:78::2"],
    ["v2, b to a", b2, a.address6, "node1-v2 fd10:78::2"],
  ];

  t.test("TCP reaches the same version; the peer sees what getsockname says", async (t) => {
    for (const [name, from, to, expected] of pairs) {
      const { id, greeting, local } = await from.connect(to, PEER_TCP);
      t.ok(greeting.startsWith(`${expected}:`), `${name}: ${greeting}`);
      t.equal(greeting.split(" ")[1], local, name);
      t.equal(await from.echo(id, "hello"), "hello");
    }
  });

  t.test("streams arrive whole, with and without offloads", async (t) => {
    for (const [name, from, to] of pairs) t.ok(await from.call("tcpBulk", to, PEER_BULK, 8 << 20), name);
  });

  t.test("datagrams of every size arrive whole, under the true address and port", async (t) => {
    for (const [name, from, to, expected] of pairs) {
      for (const bytes of [0, 1, 2, 5, 18, 100, 1001, DATAGRAM_BYTES_MAX]) {
        const answer = await from.udp(to, PEER_UDP, bytes, 20_001);
        t.equal(answer, `${expected}:20001 intact`, `${name}, ${bytes} bytes`);
      }
    }
    t.ok((await a.counter("marked", 1)) > 0 && (await b.counter("delivered", 2)) > 0);
  });

  t.test("the gateway has answered the domain's question for it", async (t) => {
    for (const slot of [0, 1]) {
      const neighbours = sh("ip", "-n", a.domainNamespace(slot), "-6", "neighbour", "show", "dev", "eth0");
      t.match(neighbours, /^fe80::1 lladdr fe:54:.* router /m);
    }
  });

  t.test("IPv4 goes on beside it, on the same ports", async (t) => {
    for (const node of lab.nodes)
      await node.call("setManagedPeers", [a.address, b.address, a.address6, b.address6]);
    await b1.call("tcpServe", PEER_TCP, "by-ipv4");
    await b1.call("udpServe", PEER_UDP, "by-ipv4");
    t.match((await a1.connect(b.address, PEER_TCP)).greeting, /^by-ipv4 10\.78\.0\.1:/);
    t.match(await a1.udp(b.address, PEER_UDP, 1456), /^by-ipv4 10\.78\.0\.1:\d+ intact$/);
    t.match((await a1.connect(b.address6, PEER_TCP)).greeting, /^node2-v1 fd10:78::1:/);
  });

  t.test("a version that the peer has not is refused, and heard of", async (t) => {
    const a3 = await serve6(a, 2, 3);
    await t.rejects(a3.connect(b.address6, PEER_TCP), /ECONNREFUSED/);
    t.equal(await a3.udp(b.address6, PEER_UDP, 20, 0, 300), "");
    t.equal(await b.counter("unknown_version", 0), 2);
    t.match(
      (await b.call("heard")).filter(({ senderVersion }) => senderVersion === 3),
      [{ peerAddress: a.address6, tag: serviceTag("kv") }],
    );
    await a.call("detachDomain", 2);
  });

  t.test("what comes unmarked to a peer port is refused; nobody unmanaged is spoken to", async (t) => {
    await t.rejects(lab.client.connect(b.address6, PEER_TCP), /ECONNREFUSED/);
    t.equal(await lab.client.udp(b.address6, PEER_UDP, 20, 0, 300), "");
    t.equal(await b.counter("unmarked"), 2);
    await lab.client.call("tcpServe", PEER_TCP, "stranger", "echo", 0, "::");
    await lab.client.call("udpServe", PEER_UDP, "stranger", "udp6");
    await t.rejects(a1.connect(CLIENT6, PEER_TCP), /ECONNREFUSED/);
    t.equal(await a1.udp(CLIENT6, PEER_UDP, 20, 0, 300), "");
    t.equal(await a.counter("unmanaged", 1), 1);
  });

  t.test("a service that allows it speaks unmarked with peers that are not managed", async (t) => {
    await a.call("setPolicy", "kv", { unmanagedPeers: "allow" });
    t.match((await a1.connect(CLIENT6, PEER_TCP)).greeting, /^stranger fd10:78::1:/);
    t.match(await a1.udp(CLIENT6, PEER_UDP, 1000), /^stranger fd10:78::1:\d+ intact$/);
    await a.call("setPolicy", "kv", { unmanagedPeers: "deny" });
  });

  t.test("clients: direct, by the proxy, direct to the other version; who is connected stays", async (t) => {
    await b.call("setClientPath", "kv", { kind: "direct", version: 1 });
    const first = await lab.client.connect(b.address6, CLIENT_TCP);
    t.equal(first.greeting, `node2-v1 ${first.local}`);
    t.match(await lab.client.udp(b.address6, CLIENT_UDP, 100, 20_100), /^node2-v1 fd10:78::64:20100 intact$/);
    await b.host.call("tcpServe", CLIENT_TCP, "proxy", "echo", 0, "::");
    await b.call("setClientPath", "kv", { kind: "proxy" });
    t.match((await lab.client.connect(b.address6, CLIENT_TCP)).greeting, /^proxy fd10:78::64:/);
    await b.call("setClientPath", "kv", { kind: "direct", version: 2 });
    t.match((await lab.client.connect(b.address6, CLIENT_TCP)).greeting, /^node2-v2 fd10:78::64:/);
    t.match(await lab.client.udp(b.address6, CLIENT_UDP, 100, 20_100), /^node2-v1 /, "a busy client stays");
    t.equal(await lab.client.echo(first.id, "still here"), "still here");
    t.equal(await b.call("directConnections", 0), 2);
    t.equal(await b.call("resetDirectConnections", 0), 2);
    await t.rejects(lab.client.echo(first.id, "anyone?"), /ECONNRESET|ECLOSED/);
  });

  t.test("flows and counters name both families' addresses", async (t) => {
    const { flows } = await a.call("flows", { peer: b.address6, protocol: "tcp" });
    t.ok(flows.length > 0 && flows.every(({ remoteAddress }) => remoteAddress === b.address6));
    t.ok((await a.call("flows", { peer: b.address })).flows.length > 0);
    const peers = new Set((await a.call("peerCounters")).map(({ peerAddress }) => peerAddress));
    t.ok(peers.has(b.address6) && peers.has(b.address));
  });

  t.test("a datagram that IPv6 would have to cut is refused", async (t) => {
    t.equal(await a1.udp(b.address6, PEER_UDP, 3000, 0, 300), "");
    t.ok((await a.counter("fragment", 1)) >= 2);
  });

  t.test("nothing failed in the kernel", async (t) => {
    for (const node of [a, b]) t.equal(await node.counter("kernel_error"), 0);
  });
}
