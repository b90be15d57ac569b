/** Medians, percentiles, ratios. */
import fc from "fast-check";
import t from "tap";
import type { Row, Summary } from "../../harness/bench.ts";
import { overlaps, percentile, ratio, summarize } from "../../harness/statistics.ts";

const at = (median: number, min = median, max = median): Summary => ({ median, min, max });
const row = (better: Row["better"], values: Row["values"]): Row => ({
  measure: "m",
  unit: "u",
  better,
  values,
});

t.test("median, least and most", async (t) => {
  t.same(summarize([3, 1, 2]), { median: 2, min: 1, max: 3 });
  t.same(summarize([4, 1, 2, 3]), { median: 2.5, min: 1, max: 4 });
  t.same(summarize([7]), { median: 7, min: 7, max: 7 });
  t.throws(() => summarize([]), RangeError);
});

t.test("a median lies between, and half of the values on either side", async () => {
  fc.assert(
    fc.property(fc.array(fc.integer(), { minLength: 1 }), (values) => {
      const { median, min, max } = summarize(values);
      const below = values.filter((value) => value < median).length;
      const above = values.filter((value) => value > median).length;
      return min <= median && median <= max && below <= values.length / 2 && above <= values.length / 2;
    }),
  );
});

t.test("percentiles are values that were seen", async (t) => {
  const values = Array.from({ length: 200 }, (_, index) => 200 - index);
  t.equal(percentile(values, 50), 100);
  t.equal(percentile(values, 99), 198);
  t.equal(percentile([5], 99), 5);
  t.throws(() => percentile([], 50), RangeError);
});

t.test("over 1 is better, whichever way the row counts", async (t) => {
  t.equal(ratio(row("higher", { own: at(30), nat: at(20) }), "own", "nat"), 1.5);
  t.equal(ratio(row("lower", { own: at(30), nat: at(20) }), "own", "nat"), 20 / 30);
  t.equal(ratio(row("higher", { own: at(30) }), "own", "nat"), undefined);
  t.equal(ratio(row("higher", { own: at(30), nat: at(0) }), "own", "nat"), undefined);
});

t.test("ranges that meet", async (t) => {
  const values = { a: at(2, 1, 3), b: at(4, 3, 5), c: at(7, 6, 8) };
  t.ok(overlaps(row("higher", values), "a", "b"));
  t.notOk(overlaps(row("higher", values), "a", "c"));
  t.notOk(overlaps(row("higher", values), "a", "absent"));
});
