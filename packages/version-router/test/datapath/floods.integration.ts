/** Floods from the network: tables stay within their bounds, and what is established goes on. */
import { join } from "node:path";
import t from "tap";
import { LAYOUT, MAPS } from "../../datapath/kernel/structs.ts";
import { serviceTag } from "../../mark/index.ts";
import { CLIENT_TCP, PEER_TCP, startFleet } from "./kv-fleet.ts";
import { sh, whyNoLab } from "./lab.ts";
import type { Flood, FloodTask } from "./flood/flooder.ts";

const FLOODER = new URL("flood/flooder.ts", import.meta.url).pathname;
/** Twice what the largest table holds. */
const COUNT = 131_072;

const skip = whyNoLab();
t.setTimeout(600_000);
if (skip === false) await run();
else t.plan(0, skip);

async function run(): Promise<void> {
  const { lab, a, b1, b2 } = await startFleet();
  t.teardown(() => lab.close());
  await a.call("setClientPath", "kv", { kind: "direct", version: 1 });
  const peers = [await b1.connect(a.address, PEER_TCP), await b2.connect(a.address, PEER_TCP)] as const;
  const client = await lab.client.connect(a.address, CLIENT_TCP);
  const flooder = await lab.actor(a.namespace, FLOODER);
  const json = sh("ip", "-n", a.namespace, "-json", "link", "show", "dev", "uplink");
  const base = {
    pinDirectory: a.pins,
    uplink: (JSON.parse(json) as [{ ifindex: number }])[0].ifindex,
    to: a.address,
    mark: { tag: serviceTag("kv"), version: 1, advertisement: { version: 1, status: "running" } },
  } as const;
  const size = (name: keyof typeof MAPS): Promise<number> =>
    flooder.call("size", join(a.pins, `layout-${LAYOUT}`, "maps", name), name);

  for (const [flood, clientPort, title] of [
    ["syn", CLIENT_TCP, "SYNs of clients that do not exist"],
    ["syn-and-guess", CLIENT_TCP, "the same, each with a guess at what the server answered"],
    ["marked-syn", CLIENT_TCP, "marked SYNs of peers that do not exist"],
    ["datagram", 53, "datagrams of clients that do not exist"],
    ["random-mark", CLIENT_TCP, "marks of versions and services that do not exist"],
  ] as const satisfies readonly (readonly [Flood, number, string])[]) {
    t.test(`${COUNT} ${title}`, { timeout: 300_000 }, async (t) => {
      const task: FloodTask = { ...base, flood, clientPort, peerPort: PEER_TCP, count: COUNT };
      if (flood === "random-mark") Object.assign(task, { peerPort: 7001 });
      const startedMs = performance.now();
      await flooder.call("run", task);
      t.comment(`${((performance.now() - startedMs) / 1000).toFixed(1)} s`);
      t.equal(await b1.echo(peers[0].id, "still"), "still", "a peer of version 1");
      t.equal(await b2.echo(peers[1].id, "still"), "still", "a peer of version 2");
      t.equal(await lab.client.echo(client.id, "still"), "still", "a client");
      t.match((await b2.connect(a.address, PEER_TCP)).greeting, /^node1-v2 /, "a new peer");
      t.match((await lab.client.connect(a.address, CLIENT_TCP)).greeting, /^node1-v1 /, "a new client");
      const sizes = {
        flows: await size("flows"),
        tentative: await size("tentative"),
        heard: await size("heard"),
        counters: await size("counters"),
      };
      t.comment(JSON.stringify(sizes));
      t.ok(sizes.flows < 64, "nobody got among the proven connections");
      t.ok(sizes.tentative <= MAPS.tentative.entries);
      t.ok(sizes.heard <= MAPS.heard.entries);
      t.ok(sizes.counters < 1000, "strangers' names have no counters");
    });
  }
}
