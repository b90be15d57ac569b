import t from "tap";
import { createRateLimit } from "../../api/rate-limit.ts";

t.test("a caller gets its burst, then its rate; others are not touched", async (t) => {
  const allow = createRateLimit({ perSecond: 2, burst: 3, callersMax: 10 });
  t.same(
    [0, 0, 0, 0].map((now) => allow("a", now)),
    [true, true, true, false],
  );
  t.equal(allow("b", 0), true);
  t.equal(allow("a", 500), true);
  t.equal(allow("a", 500), false);
});

t.test("a flood of callers costs bounded memory", async (t) => {
  const allow = createRateLimit({ perSecond: 1, burst: 1, callersMax: 2 });
  t.equal(allow("a", 0), true);
  allow("b", 0);
  allow("c", 0);
  t.equal(allow("a", 0), true, "a was forgotten, so it starts anew");
});
