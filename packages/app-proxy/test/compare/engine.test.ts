/** The engine against streams whose truth is known. */
import * as fc from "fast-check";
import t from "tap";
import {
  CompareEngine,
  compileRules,
  DEFAULT_SAMPLE_OPTIONS,
  faultsOfGate,
  sampleNumbers,
  type Side,
} from "../../compare/index.ts";
import type { ComparableValue } from "../../compare/index.ts";

function engine(): CompareEngine {
  return new CompareEngine({
    baseline: 1,
    candidate: 2,
    confidence: 0.95,
    rules: compileRules({}),
    random: sampleNumbers(),
    samples: DEFAULT_SAMPLE_OPTIONS,
  });
}

const ok = (value: ComparableValue): Side => ({ kind: "replied", success: true, value });
const refused = (value: ComparableValue): Side => ({ kind: "replied", success: false, value });
const missing: Side = { kind: "missing", detail: "no reply" };
const pair = (to: CompareEngine, left: Side, right: Side): boolean =>
  to.pair(left, right, () => "GET /x", 0).length > 0;

t.test("every pair has one verdict", async (t) => {
  const compare = engine();
  pair(compare, ok(1), ok(1));
  pair(compare, ok(1), ok(2));
  pair(compare, ok(1), refused(1));
  pair(compare, missing, ok(1));
  pair(compare, missing, missing);
  compare.drop();
  const report = compare.report();
  t.same(report.verdicts, { same: 1, noise: 0, different: 1, failed: 1, missing: 1 });
  t.match(report, { compared: 4, dropped: 1, unanswered: 1, failedAt: { baseline: 1, candidate: 1 } });
  t.match(report.difference, { count: 3, of: 4, rate: 0.75 });
});

t.test("what is learned later counts for what was seen before", async (t) => {
  const compare = engine();
  for (let at = 0; at < 10; at += 1) pair(compare, ok({ id: 1, at }), ok({ id: 1, at: at + 1 }));
  t.equal(compare.report().verdicts.different, 10);
  compare.control(ok({ id: 1, at: 1 }), ok({ id: 1, at: 2 }), true);
  t.match(compare.report().verdicts, { different: 0, noise: 10 });
  t.same(compare.report().samples, [], "noise is not shown");
  t.equal(pair(compare, ok({ id: 1, at: 1 }), ok({ id: 2, at: 2 })), true);
  t.match(compare.report().verdicts, { different: 1, noise: 10 });
});

t.test("a noisy field that differs more often than by chance is said, and stops the gate", async (t) => {
  const random = sampleNumbers(7);
  const [usual, more] = [engine(), engine()];
  for (let n = 0; n < 4_000; n += 1) {
    const flips = (rate: number): Side => ok({ cached: random() < rate });
    usual.pair(ok({ cached: false }), flips(0.1), () => "", 0);
    more.pair(ok({ cached: false }), flips(0.2), () => "", 0);
    if (n % 4 === 0) for (const each of [usual, more]) each.control(ok({ cached: false }), flips(0.1), true);
  }
  t.match(usual.report().fields, [{ path: "cached", verdict: "noise", proven: false }]);
  t.match(more.report().fields, [{ path: "cached", verdict: "more-than-noise", proven: true }]);
  const gate = { maxDifferenceRate: 0.01, minRequests: 1_000, confidence: 0.95 };
  t.same(faultsOfGate(gate, [usual.report()]), []);
  t.match(faultsOfGate(gate, [more.report()]), [/cached differs in/]);
});

t.test("the gate wants enough requests, and a rate that is surely below", async (t) => {
  const gate = { maxDifferenceRate: 0.01, minRequests: 200, confidence: 0.95 };
  const after = (pairs: number, wrong: number) => {
    const compare = engine();
    for (let at = 0; at < pairs; at += 1) pair(compare, ok(0), ok(at < wrong ? 1 : 0));
    return faultsOfGate(gate, [compare.report()]);
  };
  t.equal(faultsOfGate(gate, []).length, 1, "nothing compared is not good enough");
  t.match(after(100, 0), [/100 of 200/, /2.95 %/], "0 of 100 may be 2.95 %");
  t.match(after(250, 0), [/1.19 %/], "enough requests are not enough");
  t.same(after(300, 0), []);
  t.equal(after(300, 1).length, 1);
  t.same(after(1_000, 3), []);
});

t.test("samples are bounded, spread, and without secrets", async (t) => {
  const compare = engine();
  for (let at = 0; at < 5_000; at += 1) {
    pair(
      compare,
      ok({ sum: 1, token: "t", note: "x".repeat(9_000) }),
      ok({ sum: at + 2, token: `t${at}`, note: "" }),
    );
  }
  const { samples, verdicts } = compare.report();
  t.equal(verdicts.different, 5_000);
  t.equal(samples.length, 4);
  t.ok(Buffer.byteLength(JSON.stringify(samples)) < 8_000);
  t.notMatch(JSON.stringify(samples), /t\d/);
  t.match(samples[0]?.paths, [{ path: "sum" }, { path: "token", baseline: "(secret)" }, { path: "note" }]);
  const sums = samples.map(({ paths }) => Number(paths[0]?.candidate));
  t.ok(Math.max(...sums) > 100, "not only the first are kept");
});

t.test("ways of differing without number are counted as different, in bounded memory", async (t) => {
  const compare = engine();
  for (let at = 0; at < 3_000; at += 1) pair(compare, ok({ [`k${at}`]: 1 }), ok({}));
  const { verdicts, overflow, fields } = compare.report();
  t.equal(verdicts.different, 3_000);
  t.equal(overflow, 3_000 - 256);
  t.equal(fields.length, 32);
  t.ok(Buffer.byteLength(JSON.stringify(compare.report())) < 256 * 1024);
});

t.test("no pair is lost or counted twice, whatever comes in whatever order", async () => {
  const side: fc.Arbitrary<Side> = fc.oneof(
    fc.constant(missing),
    fc.record({
      kind: fc.constant("replied" as const),
      success: fc.boolean(),
      value: fc.dictionary(fc.constantFrom("a", "b", "c"), fc.nat(2)) as fc.Arbitrary<ComparableValue>,
    }),
  );
  const event = fc.oneof(
    fc.record({ kind: fc.constant("pair" as const), left: side, right: side }),
    fc.record({ kind: fc.constant("control" as const), left: side, right: side, atRandom: fc.boolean() }),
    fc.record({ kind: fc.constant("drop" as const) }),
  );
  fc.assert(
    fc.property(fc.array(event, { maxLength: 60 }), (events) => {
      const compare = engine();
      for (const each of events) {
        if (each.kind === "pair") pair(compare, each.left, each.right);
        else if (each.kind === "drop") compare.drop();
        else compare.control(each.left, each.right, each.atRandom);
      }
      const { verdicts, compared, dropped, unanswered } = compare.report();
      const sum = Object.values(verdicts).reduce((total, count) => total + count, 0);
      const paired = events.filter(({ kind }) => kind === "pair").length;
      return (
        sum === compared &&
        compared + unanswered === paired &&
        dropped === events.filter(({ kind }) => kind === "drop").length
      );
    }),
  );
});
