/**
 * The upgrade without virtual machines: version 2 comes up beside version 1 node by node, under load that tolerates no
 * failure; then version 1 goes, and version 2 alone gives every acknowledged write back.
 */
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { Load } from "../../load/load.ts";
import { ClientPath } from "./client-path.ts";
import { Fleet, missing } from "./fleet.ts";

type Node = Fleet["nodes"][number];

interface Place {
  readonly path: ClientPath;
  readonly v1: Node;
  readonly v2: Node;
}

/** What the agent does on one node, in its order. */
async function upgrade({ path, v1, v2 }: Place): Promise<string> {
  v2.start("v2");
  await v2.healthy();
  await path.toProxy({ 1: v1.endpoint, 2: v2.endpoint });
  v1.drain();
  await path.drained(v1.endpoint);
  return v2.migrateFrom(v1.endpoint);
}

t.setTimeout(600_000);
if (missing !== undefined) t.plan(0, missing);
else {
  t.test("node by node under load", { timeout: 300_000 }, async (t) => {
    const [old, next] = [await Fleet.prepare(3), await Fleet.prepare(3)];
    t.teardown(async () => {
      await old.remove();
      await next.remove();
    });
    await old.start("v1");
    const places: Place[] = [];
    for (const [number, v1] of old.nodes.entries()) {
      const path = await ClientPath.open();
      t.teardown(() => path.close());
      path.toVersion(v1.endpoint);
      places.push({ path, v1, v2: next.nodes.at(number) as Node });
    }

    // From here on version 1 files its writes half an hour ahead of its clock, as after a node with a wrong clock: what
    // is acknowledged later must win all the same.
    const ahead = String((Date.now() + 1_800_000) * 1000);
    await fetch(`${old.urls[0]}/kv/ahead`, { method: "PUT", body: "v", headers: { "x-timestamp": ahead } });

    const load = new Load({ urls: places.map(({ path }) => path.url), ratePerSecond: 150, keys: 500 });
    t.teardown(() => load.close());
    load.start();
    await sleep(3000);

    for (const [number, place] of places.entries()) {
      const output = await upgrade(place);
      t.match(output, /, 0 of them older than the start\n$/);
      t.comment(`node ${number + 1}: ${output.trim().replaceAll("\n", "; ")}`);
      await sleep(1500);
      t.same(load.summary().failures, []);
    }

    t.test("clients cannot reach the migrator's door through the proxy", async (t) => {
      const [place] = places as [Place];
      for (const target of ["/export", "/import", "/kv/../export"]) {
        const response = await fetch(new URL(target, place.path.url), {
          method: target === "/import" ? "POST" : "GET",
        });
        t.equal(response.status, 403, target);
      }
    });

    t.test("both versions hold the same items", async (t) => {
      // Writes under way may be at one version only.
      t.match(await Promise.all(next.nodes.map((node) => node.stats())), [
        { version: 2 },
        { version: 2 },
        { version: 2 },
      ]);
      const counts = await Promise.all(
        [...old.nodes, ...next.nodes].map(async (node) => (await node.stats()).items),
      );
      t.ok(Math.max(...counts) - Math.min(...counts) <= 12, `items: ${counts.join(" ")}`);
    });

    t.test("version 1 goes, one node after the other, and nobody notices", async (t) => {
      for (const { path, v1, v2 } of places) {
        await path.toProxy({ 2: v2.endpoint });
        path.toVersion(v2.endpoint);
        await path.proxyDrained();
        await v1.end("SIGTERM");
      }
      await sleep(2000);
      const summary = await load.stop();
      t.same([summary.failed, summary.failures], [0, []]);
      t.comment(`${summary.requests} requests, ${summary.failed} failed, ${summary.retries} retried`);
    });

    t.test("version 2 alone gives every acknowledged write back, at every node", async (t) => {
      for (const node of next.nodes) {
        const { failed, failures } = await load.verify(node.url);
        t.same([failed, failures], [0, []]);
      }
    });

    t.test("each version heard its own kind only", async (t) => {
      for (const node of next.nodes) {
        for (const heard of (await node.stats()).heard) {
          t.match(heard, heard.protocol === undefined ? { moleculer: /^0\.15\./ } : { protocol: "5" });
        }
      }
    });
  });
}
