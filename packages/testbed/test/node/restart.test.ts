import * as fc from "fast-check";
import t from "tap";
import { nextDelayMs } from "../../node/restart.ts";

void t.test("a service that keeps dying young is restarted ever later, within bounds", (t) => {
  const delays: number[] = [];
  for (let runs = 0, delay = 0; runs < 8; runs += 1) delays.push((delay = nextDelayMs(delay, 10)));
  t.strictSame(delays, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
  t.end();
});

void t.test("after a good run the next restart is quick again", (t) => {
  t.equal(nextDelayMs(5_000, 10_000), 100);
  fc.assert(
    fc.property(fc.nat(), fc.nat(), (lastMs, ranMs) => {
      const delay = nextDelayMs(lastMs, ranMs);
      return delay >= 1 && delay <= 5_000;
    }),
  );
  t.end();
});
