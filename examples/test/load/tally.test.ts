import t from "tap";
import { Tally } from "../../load/tally.ts";

t.test("an empty tally is all zeros", async (t) => {
  t.match(new Tally().counts(), { requests: 0, failed: 0, retries: 0, p50Ms: 0, p99Ms: 0, maxMs: 0 });
});

t.test("requests are counted by node and by reason, and their latencies by rank", async (t) => {
  const tally = new Tally();
  for (let latencyMs = 1; latencyMs <= 100; latencyMs += 1) {
    tally.add({
      node: latencyMs % 2 === 0 ? "a" : "b",
      latencyMs,
      retried: latencyMs === 5,
      reason: latencyMs > 97 ? "stale" : undefined,
    });
  }
  const counts = tally.counts();
  t.match(counts, { requests: 100, failed: 3, failedByReason: { stale: 3 }, retries: 1 });
  t.same(counts.byNode, { a: { requests: 50, failed: 2 }, b: { requests: 50, failed: 1 } });
  t.ok(Math.abs(counts.p50Ms - 50) <= 1);
  t.ok(Math.abs(counts.p99Ms - 99) <= 1);
});
