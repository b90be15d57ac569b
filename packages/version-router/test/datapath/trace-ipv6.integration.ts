/** Trace, flows and counters by peer over IPv6, on the kernel data path. */
import t from "tap";
import { PEER_TCP, PEER_UDP, PORTS } from "./kv-fleet.ts";
import { Lab, whyNoLab } from "./lab.ts";
import { traced } from "./traced.ts";
import type { Actor } from "./actor-handle.ts";
import type { LabNode } from "./lab.ts";

const skip = whyNoLab();
if (skip === false) await run();
else t.plan(0, skip);

async function run(): Promise<void> {
  const lab = await Lab.create(2, [], true);
  t.teardown(() => lab.close());
  t.test("marks, addresses and filters are as over IPv4", async (t) => {
    const [here, there] = lab.nodes as [LabNode, LabNode];
    const domains: Actor[] = [];
    for (const node of lab.nodes) {
      await node.call("setManagedPeers", [here.address6, there.address6]);
      domains.push(await node.domain(0, 1));
      await node.call("setPorts", 0, PORTS);
      await domains.at(-1)?.call("udpServe", PEER_UDP, `node${node.number}`, "udp6");
      await domains.at(-1)?.call("tcpServe", PEER_TCP, `node${node.number}`, "echo", 0, "::");
    }
    const [domain] = domains as [Actor];
    const speak = () => domain.udp(there.address6, PEER_UDP);
    const ends = [here.address6, there.address6] as const;
    const packets = await traced(here, { peer: there.address6, port: PEER_UDP }, speak);
    t.match(packets, [
      {
        source: ends[0],
        destination: ends[1],
        protocol: "udp",
        verdict: "marked",
        mark: { senderVersion: 1 },
      },
      { source: ends[1], destination: ends[0], protocol: "udp", verdict: "delivered", direction: "in" },
    ]);
    t.same(await traced(here, { peer: "fd10:78::99", port: PEER_UDP }, speak), []);
    await domain.connect(there.address6, PEER_TCP);
    const { flows } = await here.call("flows", { peer: there.address6 });
    t.match(flows, [{ remoteAddress: there.address6, remotePort: PEER_TCP, version: 1, state: "open" }]);
    const counters = await here.call("peerCounters");
    t.ok(counters.some(({ peerAddress, verdict }) => peerAddress === there.address6 && verdict === "marked"));
  });
}
