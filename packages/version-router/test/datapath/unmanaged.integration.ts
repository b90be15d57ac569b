/** Peers without Version Manager: refused, or by the service's policy spoken to as they are. */
import t from "tap";
import { CLIENT_TCP, PEER_TCP, PEER_UDP, serve } from "./kv-fleet.ts";
import { CLIENT, Lab, whyNoLab } from "./lab.ts";
import type { Test } from "tap";
import type { LabNode } from "./lab.ts";

const skip = whyNoLab();
if (skip === false) await run();
else t.plan(0, skip);

async function run(): Promise<void> {
  const lab = await Lab.create(1);
  t.teardown(() => lab.close());
  const [node] = lab.nodes as [LabNode];
  const v1 = await serve(node, 0, 1);
  const v2 = await serve(node, 1, 2);
  await node.call("setClientPath", "kv", { kind: "direct", version: 2 });
  // The client's namespace plays a server of the same protocol that knows nothing of versions.
  const stranger = lab.client;
  await stranger.call("tcpServe", PEER_TCP, "stranger");
  await stranger.call("udpServe", PEER_UDP, "stranger");

  const assertRefused = async (t: Test): Promise<void> => {
    for (const domain of [v1, v2]) {
      await t.rejects(domain.connect(CLIENT, PEER_TCP), /ECONNREFUSED|ECONNRESET/);
      t.equal(await domain.udp(CLIENT, PEER_UDP, 20, 0, 200), "");
    }
    await t.rejects(stranger.connect(node.address, PEER_TCP), /ECONNREFUSED/);
    t.equal(await stranger.udp(node.address, PEER_UDP, 20, 0, 200), "");
    t.match((await stranger.connect(node.address, CLIENT_TCP)).greeting, /^node1-v2 /, "client ports serve");
  };

  t.test("denied, the default: nothing passes between peer ports", assertRefused);

  t.test("allowed: each version speaks with it, unmarked, and it is led where clients are", async (t) => {
    const marked = await node.counter("marked");
    await node.call("setPolicy", "kv", { unmanagedPeers: "allow" });
    for (const domain of [v1, v2]) {
      const { id, greeting, local } = await domain.connect(CLIENT, PEER_TCP);
      t.equal(greeting, `stranger 10.78.0.1:${local.split(":")[1]}`);
      t.equal(await domain.echo(id, "hello"), "hello");
      t.match(await domain.udp(CLIENT, PEER_UDP, 1456), /^stranger 10\.78\.0\.1:\d+ intact$/);
    }
    const { id, greeting } = await stranger.connect(node.address, PEER_TCP);
    t.match(greeting, /^node1-v2 10\.78\.0\.100:/);
    t.equal(await stranger.echo(id, "hello"), "hello");
    t.match(await stranger.udp(node.address, PEER_UDP, 1000), /^node1-v2 10\.78\.0\.100:\d+ intact$/);
    t.equal(await node.counter("marked"), marked, "nothing bore a mark");
  });

  t.test("once it is known to be managed, marks are asked of it again", async (t) => {
    await node.call("setManagedPeers", [CLIENT]);
    await assertRefused(t);
    await node.call("setManagedPeers", []);
  });

  t.test("denied again", async (t) => {
    await node.call("setPolicy", "kv", { unmanagedPeers: "deny" });
    await assertRefused(t);
    t.equal(await node.counter("kernel_error"), 0);
  });
}
