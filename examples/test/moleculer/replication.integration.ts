/** Three nodes of one version: they hold the same, and clients cannot tell them apart. */
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { Load } from "../../load/load.ts";
import { Fleet, missing } from "./fleet.ts";
import { RELEASES } from "./release-modules.ts";

const PROTOCOLS = { v1: { protocol: "4", moleculer: "0.14.36" }, v2: { protocol: "5", moleculer: "0.15.2" } };

t.setTimeout(600_000);
if (missing !== undefined) t.plan(0, missing);
else {
  for (const release of RELEASES) {
    t.test(release, { timeout: 180_000 }, async (t) => {
      const fleet = await Fleet.prepare(3);
      t.teardown(() => fleet.remove());
      await fleet.start(release);
      const [first, second, third] = fleet.nodes as [Node, Node, Node];

      t.test("an acknowledged write is at every node", async (t) => {
        for (const [number, writer] of fleet.nodes.entries()) {
          t.equal(await writer.put(`k${number}`, `v${number}`), 200);
          for (const reader of fleet.nodes) t.equal(await reader.get(`k${number}`), `v${number}`);
        }
      });

      t.test("nobody but nodes of this version is ever heard", async (t) => {
        const stats = await first.stats();
        const { protocol, moleculer } = PROTOCOLS[release];
        t.match(stats, { protocol, moleculer, live: [/^kv-127\.0\.1\.[23]$/, /^kv-127\.0\.1\.[23]$/] });
        t.ok(stats.heard.length >= 4);
        for (const heard of stats.heard)
          t.match(heard, heard.protocol === undefined ? { moleculer } : { protocol });
        t.comment(`memory of a node at rest: ${Math.round(stats.rssBytes / 2 ** 20)} MiB`);
      });

      t.test("under load nothing fails, and every node gives every write back", async (t) => {
        const load = new Load({ urls: fleet.urls, ratePerSecond: 150, keys: 300 });
        t.teardown(() => load.close());
        load.start();
        await sleep(5000);
        const { failed, failures } = await load.stop();
        t.same([failed, failures], [0, []]);
        for (const url of fleet.urls) t.match(await load.verify(url), { failed: 0 });
        t.comment(`memory of a node under load: ${Math.round((await first.stats()).rssBytes / 2 ** 20)} MiB`);
      });

      t.test("a node that is killed fails alone, and has caught up when it is healthy again", async (t) => {
        const load = new Load({ urls: fleet.urls, ratePerSecond: 150, keys: 300 });
        t.teardown(() => load.close());
        load.start();
        await sleep(1500);
        await third.end("SIGKILL");
        await sleep(2500);
        third.start(release);
        await third.healthy();
        const healthyAtMs = Date.now();
        await sleep(1500);
        const summary = await load.stop();
        t.ok((summary.byNode[third.url]?.failed ?? 0) > 0);
        t.match(summary.byNode, { [first.url]: { failed: 0 }, [second.url]: { failed: 0 } });
        t.same(
          summary.failures.filter(({ atMs }) => atMs > healthyAtMs),
          [],
        );
        for (const url of fleet.urls) t.match(await load.verify(url), { failed: 0 });
        const digests = await Promise.all(fleet.nodes.map(async (node) => (await node.stats()).digest));
        t.equal(new Set(digests).size, 1);
      });
    });
  }
}

type Node = Fleet["nodes"][number];
