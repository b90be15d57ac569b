import t from "tap";
import { estimateRate, rateExcess } from "../../compare/statistics.ts";

const near = (actual: number, expected: number, within = 1e-4): boolean =>
  Math.abs(actual - expected) < within;

t.test("Clopper-Pearson's interval, against published values", async (t) => {
  // 10 of 100 at 95 %: 0.0490 … 0.1762; 1 of 20: 0.0013 … 0.2487; 5 of 10: 0.1871 … 0.8129.
  const tables = [
    [10, 100, 0.0490047, 0.1762226],
    [1, 20, 0.0012651, 0.2487328],
    [5, 10, 0.187086, 0.812914],
  ] as const;
  for (const [count, of, low, high] of tables) {
    const estimate = estimateRate(count, of, 0.95);
    t.ok(near(estimate.low, low), `${count} of ${of}: from ${estimate.low}`);
    t.ok(near(estimate.high, high), `${count} of ${of}: to ${estimate.high}`);
  }
});

t.test("of nothing seen the bound is the rule of three", async (t) => {
  for (const size of [100, 1_000, 100_000]) {
    const { atMost, low, rate } = estimateRate(0, size, 0.95);
    t.equal(low, 0);
    t.equal(rate, 0);
    t.ok(Math.abs(atMost * size - 3) < 0.06, `${size}: ${atMost}`);
  }
  t.match(estimateRate(0, 0, 0.95), { low: 0, high: 1, atMost: 1 }, "nothing looked at says nothing");
  t.match(estimateRate(7, 7, 0.95), { rate: 1, high: 1, atMost: 1 });
});

t.test("the interval covers the true rate at least as often as it says", async (t) => {
  // Exactly, by summing the binomial distribution over the counts whose interval holds the rate.
  for (const [of, rate] of [
    [50, 0.02],
    [200, 0.001],
    [100, 0.3],
  ] as const) {
    let covered = 0;
    let chance = (1 - rate) ** of;
    for (let count = 0; count <= of; count += 1) {
      const { low, high } = estimateRate(count, of, 0.95);
      if (low <= rate && rate <= high) covered += chance;
      chance *= ((of - count) / (count + 1)) * (rate / (1 - rate));
    }
    t.ok(covered >= 0.95, `${of} at ${rate}: ${covered}`);
  }
});

t.test("Newcombe's interval for the difference of two rates, against his own example", async (t) => {
  // Table II of the paper, (a): 56/70 and 48/80 → 0.0524 … 0.3339.
  const { low, high } = rateExcess({ count: 56, of: 70 }, { count: 48, of: 80 }, 0.95);
  t.ok(near(low, 0.0524), String(low));
  t.ok(near(high, 0.3339), String(high));
  t.same(rateExcess({ count: 1, of: 3 }, { count: 0, of: 0 }, 0.95), { low: -1, high: 1 });
  t.ok(
    rateExcess({ count: 1, of: 1_000 }, { count: 0, of: 100 }, 0.95).low < 0,
    "one in a thousand may be chance",
  );
  t.ok(rateExcess({ count: 50, of: 1_000 }, { count: 0, of: 1_000 }, 0.95).low > 0);
});
