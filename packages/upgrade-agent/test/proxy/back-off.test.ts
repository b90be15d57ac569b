import t from "tap";
import { afterCrash, steady } from "../../proxy/back-off.ts";

t.test("at once, then later and later, and at once again after a steady run", async (t) => {
  const delays: number[] = [];
  let state = steady;
  for (const ranMs of [500, 500, 500, 500, 500, 500, 500, 500, 500, 70_000, 500]) {
    const { next, delayMs } = afterCrash(state, ranMs);
    state = next;
    delays.push(delayMs);
  }
  t.same(delays, [0, 100, 200, 400, 800, 1600, 3200, 5000, 5000, 0, 100]);
});
