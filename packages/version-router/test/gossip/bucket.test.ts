import * as fc from "fast-check";
import t from "tap";
import { fullBucket, takeToken } from "../../gossip/bucket.ts";

t.test("never more than the burst and the rate allow, whatever the clock does", async () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: -1000, max: 1000 }), { maxLength: 200 }), (steps) => {
      const rate = { burst: 5, perSecond: 10 };
      const bucket = fullBucket(rate, 0);
      let now = 0;
      let forwardMs = 0;
      let taken = 0;
      for (const step of steps) {
        now += step;
        forwardMs += Math.max(0, step);
        if (takeToken(bucket, rate, now)) taken += 1;
      }
      return taken <= 5 + (forwardMs * 10) / 1000;
    }),
  );
});

t.test("fills again", async (t) => {
  const rate = { burst: 1, perSecond: 2 };
  const bucket = fullBucket(rate, 0);
  t.ok(takeToken(bucket, rate, 0));
  t.notOk(takeToken(bucket, rate, 499));
  t.ok(takeToken(bucket, rate, 500));
});
