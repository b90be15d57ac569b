/**
 * What an operator looks at, with real traffic: flows, counters by peer and the live trace, at a node of each data
 * path. A trace is bounded, and goes off by itself when its daemon is killed.
 */
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { TRACE_LEASE_MS } from "../../datapath/datapath.ts";
import { LAYOUT } from "../../datapath/kernel/structs.ts";
import { encodeUdpMark, serviceTag } from "../../mark/index.ts";
import { CLIENT_TCP, PEER_BULK, PEER_TCP, PEER_UDP, startFleet } from "./kv-fleet.ts";
import { CLIENT, sh, whyNoLab } from "./lab.ts";
import { traced } from "./traced.ts";
import type { FloodTask } from "./flood/flooder.ts";

const FLOODER = new URL("flood/flooder.ts", import.meta.url).pathname;
const skip = whyNoLab();
t.setTimeout(300_000);
if (skip === false) await run();
else t.plan(0, skip);

async function run(): Promise<void> {
  const { lab, a, b, a1, a2, b1 } = await startFleet("kernel", "relay");
  t.teardown(() => lab.close());
  const nodes = [
    ["kernel", a, a1, b],
    ["relay", b, b1, a],
  ] as const;
  for (const node of [a, b]) await node.call("setClientPath", "kv", { kind: "direct", version: 2 });

  for (const [name, node, domain, peer] of nodes) {
    t.test(`${name}: flows of peers and clients, with their versions`, async (t) => {
      const { id, local } = await domain.connect(peer.address, PEER_TCP);
      const client = await lab.client.connect(node.address, CLIENT_TCP);
      const { flows, notShown } = await node.call("flows", { protocol: "tcp" });
      t.equal(notShown, 0);
      const localPort = Number(local.split(":")[1]);
      const opened = { protocol: "tcp", service: "kv", state: "open" };
      t.match(
        flows.filter(({ remotePort }) => remotePort === PEER_TCP),
        [{ ...opened, remoteAddress: peer.address, localPort, version: 1, kind: "peer" }],
      );
      t.match(
        flows.filter(({ remoteAddress }) => remoteAddress === CLIENT),
        [{ ...opened, localPort: CLIENT_TCP, version: 2, kind: "client" }],
      );
      t.ok(flows.every(({ idleMs }) => idleMs >= 0 && idleMs < 60_000));
      t.equal((await node.call("flows", { version: 2 })).flows.length, 1);
      t.equal((await node.call("flows", { peer: peer.address, version: 1 })).flows.length, 1);
      t.equal((await node.call("flows", { service: "other" })).flows.length, 0);
      t.match(await node.call("flows", { limit: 1 }), { flows: { length: 1 }, notShown: 1 });
      await domain.call("tcpClose", id);
      await lab.client.call("tcpClose", client.id);
    });

    t.test(`${name}: what passed with each managed peer is counted, and no stranger`, async (t) => {
      await domain.udp(peer.address, PEER_UDP);
      await lab.client.udp(node.address, PEER_UDP, 20, 0, 200);
      const counters = await node.call("peerCounters");
      t.ok(counters.every(({ peerAddress }) => peerAddress === peer.address));
      for (const verdict of ["marked", "delivered"]) {
        const found = counters.find((counter) => counter.verdict === verdict && counter.version === 1);
        t.match(found, { service: "kv", version: 1 }, verdict);
        t.ok((found?.packets ?? 0) > 0 && (found?.bytes ?? 0) > 0);
        t.ok(Math.abs(Date.now() - (found?.lastSeenMs ?? 0)) < 60_000);
      }
    });

    t.test(`${name}: a datagram and its answer are traced with their marks`, async (t) => {
      const sentMs = Date.now();
      const packets = await traced(node, { port: PEER_UDP }, () => domain.udp(peer.address, PEER_UDP));
      const ends = { protocol: "udp", service: "kv", version: 1, outcome: "passed" } as const;
      const mark = { service: "kv", tag: serviceTag("kv"), senderVersion: 1 };
      t.match(packets, [
        {
          ...ends,
          direction: "out",
          source: node.address,
          destination: peer.address,
          destinationPort: PEER_UDP,
          mark,
          verdict: "marked",
        },
        {
          ...ends,
          direction: "in",
          source: peer.address,
          sourcePort: PEER_UDP,
          destination: node.address,
          mark,
          verdict: "delivered",
        },
      ]);
      t.ok(packets.every(({ atMs }) => Math.abs(atMs - sentMs) < 60_000));
    });

    t.test(`${name}: a refusal is traced with its reason`, async (t) => {
      const packets = await traced(node, { verdict: "unmarked" }, () =>
        lab.client.udp(node.address, PEER_UDP, 20, 0, 200),
      );
      t.match(packets, [
        { source: CLIENT, destinationPort: PEER_UDP, outcome: "refused", reason: /mark/, direction: "in" },
      ]);
      t.notOk(packets[0] !== undefined && "mark" in packets[0]);
      const forged = encodeUdpMark({ tag: serviceTag("kv"), version: 9, advertisement: undefined });
      const unknown = await traced(node, { version: 9 }, () =>
        lab.client.call("udpSend", node.address, PEER_UDP, Buffer.from(forged).toString("hex"), CLIENT),
      );
      t.match(unknown, [
        { verdict: "unknown_version", mark: { senderVersion: 9 }, version: 0, service: "kv" },
      ]);
    });

    t.test(`${name}: filters by service, version and peer`, async (t) => {
      // Other connections of the test may still be ending.
      const port = PEER_UDP;
      const speak = () => domain.udp(peer.address, PEER_UDP);
      for (const filter of [{ service: "kv" }, { version: 1 }, { peer: peer.address }])
        t.equal((await traced(node, { ...filter, port }, speak)).length, 2, JSON.stringify(filter));
      for (const filter of [{ service: "cfs" }, { version: 2 }, { peer: CLIENT }, { verdict: "spoofed" }])
        t.same(await traced(node, { ...filter, port }, speak), [], JSON.stringify(filter));
    });
  }

  t.test(
    "kernel: a connection's segments show flags, interfaces, and the mark on SYN and SYN-ACK",
    async (t) => {
      const packets = await traced(a, { peer: b.address, port: PEER_TCP }, async () => {
        const { id } = await a2.connect(b.address, PEER_TCP);
        await a2.call("tcpClose", id);
      });
      const [syn, answer, ack] = packets;
      t.match(syn, { interface: "vm-s1", hook: "tap_ingress", flags: "S", verdict: "marked", version: 2 });
      t.match(answer, {
        interface: "uplink",
        hook: "uplink_ingress",
        flags: "S.",
        mark: { senderVersion: 2 },
      });
      t.match(ack, { interface: "vm-s1", flags: ".", verdict: "peer_tcp_out" });
      t.ok(packets.slice(2).every((packet) => !("mark" in packet)));
    },
  );

  t.test("kernel: the source that a domain pretended is shown", async (t) => {
    sh("ip", "-n", a.domainNamespace(0), "address", "add", "10.78.0.55/32", "dev", "eth0");
    const packets = await traced(a, { verdict: "spoofed" }, () =>
      a1.call("udpSend", b.address, PEER_UDP, "00", "10.78.0.55"),
    );
    t.match(packets, [{ source: "10.78.0.55", outcome: "refused", interface: "vm-s0", service: "kv" }]);
    sh("ip", "-n", a.domainNamespace(0), "address", "delete", "10.78.0.55/32", "dev", "eth0");
  });

  t.test("kernel: a path that strips the option is counted for its peer, in both directions", async (t) => {
    const wire = a.namespace.replace(/n1$/, "wire");
    const nft = (rule: string) => sh("nsenter", `--net=/run/netns/${wire}`, "nft", rule);
    // What node b sends loses it, as behind a firewall that clears what it does not know.
    nft(
      "add table netdev lossy; add chain netdev lossy in { type filter hook ingress device n2 priority 0; }",
    );
    nft("add rule netdev lossy in tcp flags & syn == syn reset tcp option 253");
    const filter = { verdict: "option_stripped" };
    const answers = await traced(a, filter, () => t.rejects(a1.connect(b.address, PEER_TCP)));
    t.match(answers, [{ source: b.address, flags: "S.", outcome: "refused", reason: /removes TCP options/ }]);
    const openings = await traced(a, filter, () => t.rejects(b1.connect(a.address, PEER_TCP)));
    t.match(openings[0], { source: b.address, destinationPort: PEER_TCP, flags: "S", outcome: "refused" });
    const counters = (await a.call("peerCounters")).filter(({ verdict }) => verdict === "option_stripped");
    t.equal(counters.length, 2, "of the version that was answered, and of none");
    t.ok(counters.every(({ peerAddress, service }) => peerAddress === b.address && service === "kv"));
    nft("delete table netdev lossy");
    t.match((await a1.connect(b.address, PEER_TCP)).greeting, /^node2-v1 /, "mended");
  });

  t.test("relay: names the verdicts that its rules decide unseen", async (t) => {
    t.ok((await b.call("trace", {})).unseen.includes("spoofed"));
    t.same((await a.call("trace", {})).unseen, []);
    for (const node of [a, b]) await node.call("trace", undefined);
  });

  t.test("kernel: more than fits is counted, and the trace goes on", async (t) => {
    const flooder = await lab.actor(a.namespace, FLOODER);
    const json = sh("ip", "-n", a.namespace, "-json", "link", "show", "dev", "uplink");
    const task: FloodTask = {
      pinDirectory: a.pins,
      uplink: (JSON.parse(json) as [{ ifindex: number }])[0].ifindex,
      to: a.address,
      mark: { tag: serviceTag("kv"), version: 1, advertisement: undefined },
      flood: "random-mark",
      clientPort: CLIENT_TCP,
      peerPort: PEER_UDP,
      count: 12_000,
    };
    const filter = { verdict: "unknown_version" };
    await a.call("trace", filter);
    await flooder.call("run", task);
    let shown = 0;
    let missed = 0;
    for (let turn = 0; turn < 4; turn += 1) {
      const batch = await a.call("trace", filter);
      shown += batch.packets.length;
      missed += batch.missed;
    }
    t.equal(shown, 8192, "what the queue holds");
    t.equal(shown + missed, task.count);
    await flooder.kill();
    t.equal((await traced(a, { port: PEER_UDP }, () => a1.udp(b.address, PEER_UDP))).length, 2);
  });

  t.test("relay: a stream's portions are bounded, too, by the queue", async (t) => {
    const packets = await traced(b, { port: PEER_BULK }, () =>
      b1.call("tcpBulk", a.address, PEER_BULK, 4 << 20),
    );
    t.ok(packets.length > 1 && packets.length <= 8192);
    t.match(packets[0], { verdict: "marked", protocol: "tcp", hook: "relay" });
    t.ok(packets.reduce((sum, { bytes }) => sum + bytes, 0) >= 4 << 20);
  });

  t.test("kernel: a daemon that is killed leaves no tracing behind", async (t) => {
    const queue = join(a.pins, `layout-${LAYOUT}`, "maps", "trace_queue");
    const queued = (): boolean => {
      try {
        return sh("bpftool", "--json", "map", "dequeue", "pinned", queue).includes("value");
      } catch {
        return false;
      }
    };
    await a.call("trace", { port: PEER_UDP });
    await a.killDaemon();
    await a1.udp(b.address, PEER_UDP);
    t.ok(queued() && queued(), "within the lease");
    t.notOk(queued());
    await sleep(TRACE_LEASE_MS + 500);
    await a1.udp(b.address, PEER_UDP);
    t.notOk(queued(), "and not after it");
    await a.start();
    t.equal((await traced(a, { port: PEER_UDP }, () => a1.udp(b.address, PEER_UDP))).length, 2);
  });
}
