/** Virtual machines over the relay: taps with and without offloads, as taps.integration.ts has them on the kernel's. */
import t from "tap";
import { CLIENT_TCP, PEER_BULK, PEER_TCP, PEER_UDP, serve } from "./kv-fleet.ts";
import { Lab, whyNoLab } from "./lab.ts";
import type { LabNode } from "./lab.ts";

const skip = whyNoLab();
if (skip === false) await run();
else t.plan(0, skip);

async function run(): Promise<void> {
  const lab = await Lab.create(2, ["relay", "relay"]);
  t.teardown(() => lab.close());
  const [a, b] = lab.nodes as [LabNode, LabNode];
  for (const node of lab.nodes) {
    await node.call("setManagedPeers", [a.address, b.address]);
    await node.call("setClientPath", "kv", { kind: "direct", version: 1 });
  }
  for (const [version, offload] of [
    [1, "on"],
    [2, "off"],
  ] as const) {
    t.test(`offloads ${offload}`, async (t) => {
      const slot = version - 1;
      const first = await serve(a, slot, version, () => a.machine(slot, version, offload));
      await serve(b, slot, version, () => b.machine(slot, version, offload));
      t.match((await first.connect(b.address, PEER_TCP)).greeting, new RegExp(`^node2-v${version} 10`));
      for (const bytes of [0, 1, 2, 7, 1456])
        t.match(await first.udp(b.address, PEER_UDP, bytes), new RegExp(`^node2-v${version} .* intact$`));
      t.ok(await first.call("tcpBulk", b.address, PEER_BULK, 8 << 20));
      t.match((await a.host.connect(`169.254.128.${version}`, PEER_TCP)).greeting, /^node1-v/);
      t.match((await lab.client.connect(a.address, CLIENT_TCP)).greeting, /^node1-v1 10\.78\.0\.100:/);
    });
  }
}
