/** The same over taps, which is what virtual machines have: with and without offloads to the guest. */
import t from "tap";
import { CLIENT_TCP, PEER_BULK, PEER_TCP, PEER_UDP, serve } from "./kv-fleet.ts";
import { Lab, whyNoLab } from "./lab.ts";
import type { LabNode } from "./lab.ts";

const skip = whyNoLab();
if (skip === false) await run();
else t.plan(0, skip);

async function run(): Promise<void> {
  const lab = await Lab.create(2);
  t.teardown(() => lab.close());
  const [a, b] = lab.nodes as [LabNode, LabNode];
  for (const node of lab.nodes) {
    await node.call("setManagedPeers", [a.address, b.address]);
    await node.call("setClientPath", "kv", { kind: "direct", version: node === a ? 1 : 2 });
  }
  const a1 = await serve(a, 0, 1, () => a.machine(0, 1, "on"));
  const b1 = await serve(b, 0, 1, () => b.machine(0, 1, "off"));
  const a2 = await serve(a, 1, 2, () => a.machine(1, 2, "off"));
  const b2 = await serve(b, 1, 2);

  for (const [name, from, to, expected] of [
    ["offloads to none", a1, b.address, "node2-v1 10.78.0.1"],
    ["none to offloads", b1, a.address, "node1-v1 10.78.0.2"],
    ["none to a container", a2, b.address, "node2-v2 10.78.0.1"],
    ["container to none", b2, a.address, "node1-v2 10.78.0.2"],
  ] as const) {
    t.test(`between peers, ${name}`, async (t) => {
      const { greeting } = await from.connect(to, PEER_TCP);
      t.ok(greeting.startsWith(`${expected}:`), greeting);
      for (const bytes of [0, 1, 2, 5, 18, 100, 1456]) {
        t.match(
          await from.udp(to, PEER_UDP, bytes),
          new RegExp(`^${expected}:\\d+ intact$`),
          `${bytes} bytes`,
        );
      }
      t.ok(await from.call("tcpBulk", to, PEER_BULK, 8 << 20), "8 MiB are intact");
    });
  }

  t.test("clients and the host reach machines", async (t) => {
    t.match((await lab.client.connect(a.address, CLIENT_TCP)).greeting, /^node1-v1 10\.78\.0\.100:/);
    t.match((await lab.client.connect(b.address, CLIENT_TCP)).greeting, /^node2-v2 10\.78\.0\.100:/);
    t.match((await a.host.connect("169.254.128.1", PEER_TCP)).greeting, /^node1-v1 169\.254\.1\.1:/);
    t.match((await b.host.connect("169.254.128.1", PEER_TCP)).greeting, /^node2-v1 169\.254\.1\.1:/);
    t.match(await a.host.udp("169.254.128.2", PEER_UDP, 1400), /^node1-v2 .* intact$/);
  });

  t.test("a domain without offloads meets refusals all the same", async (t) => {
    await b.call("setPorts", 0, { peer: [], client: [] });
    await t.rejects(a1.connect(b.address, PEER_TCP), /ECONNREFUSED/);
    await a.call("setPorts", 0, { peer: [], client: [] });
    for (const node of [a, b]) t.equal(await node.counter("kernel_error"), 0);
  });
}
