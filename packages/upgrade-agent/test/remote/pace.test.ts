/** Tries to connect come often at first, and give slow machines time later. */
import t from "tap";
import { connectTimeoutMs, pauseMs } from "../../remote/pace.ts";

/** What of `lifeMs` passes until a domain is reached that swallows packets for so long, and then answers after `slowMs`. */
function reachedAfter(deafMs: number, slowMs: number): number {
  for (let nowMs = 0; nowMs < 1_000_000;) {
    const timeoutMs = connectTimeoutMs(nowMs);
    if (nowMs >= deafMs && slowMs <= timeoutMs) return nowMs + slowMs;
    nowMs += timeoutMs;
    nowMs += pauseMs(nowMs);
  }
  return Number.POSITIVE_INFINITY;
}

t.test("a domain is reached soon after it can be", async (t) => {
  for (const deafMs of [50, 100, 300, 1_000, 5_000, 60_000]) {
    const lateMs = reachedAfter(deafMs, 1) - deafMs;
    t.ok(lateMs <= 40 + deafMs / 12, `${lateMs} ms after ${deafMs} ms`);
  }
});

t.test("one that is slow to answer is reached too", async (t) => {
  for (const slowMs of [20, 100, 1_000, 3_000]) {
    const afterMs = reachedAfter(0, slowMs);
    t.ok(afterMs <= 20 * slowMs, `${afterMs} ms for answers after ${slowMs} ms`);
  }
});
