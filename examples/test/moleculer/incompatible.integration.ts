/** Why the product exists: nodes of both versions find each other, believe in each other, and lose each other's calls. */
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { Load } from "../../load/load.ts";
import { Fleet, missing } from "./fleet.ts";

type Node = Fleet["nodes"][number];

t.setTimeout(600_000);
if (missing !== undefined) t.plan(0, missing);
else {
  t.test("two nodes of version 1 and one of version 2", { timeout: 180_000 }, async (t) => {
    const fleet = await Fleet.prepare(3);
    t.teardown(() => fleet.remove());
    const [first, second, third] = fleet.nodes as [Node, Node, Node];
    first.start("v1");
    second.start("v1");
    third.start("v2");
    await Promise.all(fleet.nodes.map((node) => node.healthy()));

    t.test("know each other as live replicas, across the versions", async (t) => {
      t.same([...(await first.stats()).live].toSorted(), ["kv-127.0.1.2", "kv-127.0.1.3"]);
      t.same([...(await third.stats()).live].toSorted(), ["kv-127.0.1.1", "kv-127.0.1.2"]);
      const heard = (await first.stats()).heard;
      t.ok(heard.some(({ nodeID, protocol }) => nodeID === "kv-127.0.1.3" && protocol === "5"));
    });

    t.test("cannot write: the call across the versions is never answered", async (t) => {
      t.equal(await first.put("a", "1"), 503);
      t.equal(await third.put("b", "2"), 503);
    });

    t.test("do not see each other's items, also when anti-entropy had time", async (t) => {
      await sleep(5000);
      t.equal(await second.get("a"), "1");
      t.equal(await third.get("a"), 404);
      t.equal(await first.get("b"), 404);
    });
  });

  t.test("replacing version 1 in place, node by node, fails clients", { timeout: 240_000 }, async (t) => {
    const fleet = await Fleet.prepare(3);
    t.teardown(() => fleet.remove());
    await fleet.start("v1");
    const load = new Load({ urls: fleet.urls, keys: 100 });
    t.teardown(() => load.close());
    load.start();
    await sleep(2000);
    t.match(load.summary(), { failed: 0 });
    for (const node of fleet.nodes) {
      await node.end("SIGTERM");
      node.start("v2");
      await node.healthy();
    }
    await sleep(3000);
    const summary = await load.stop();
    t.ok(summary.failed > 0);
    t.ok((summary.failedByReason["status-503"] ?? 0) > 0);
    t.comment(`${summary.requests} requests, ${summary.failed} failed`, summary.failedByReason);
    t.match(await fleet.nodes[0]?.stats(), { version: 2 });
  });
}
