/** The checker on small histories worked out by hand, on simulated ones, and on simulated ones with a planted fault. */
import fc from "fast-check";
import t from "tap";
import { check } from "../../linearizability/check.ts";
import type { Action, Operation, Value } from "../../linearizability/history.ts";
import { after } from "../../linearizability/register.ts";
import { simulate, type SimulationOptions } from "./simulated.ts";

const read = (value: Value): Action => ({ kind: "read", value });
const write = (value: string): Action => ({ kind: "write", value });
const cas = (expected: Value, value: string, done: boolean): Action => ({
  kind: "cas",
  expected,
  value,
  done,
});

/** `[action, begun, ended]`, without the last: never answered. */
type Line = readonly [Action, number, number?];

function verdict(lines: readonly Line[]): string {
  const history = lines.map(([action, begunAt, endedAt]) => ({ key: "k", action, begunAt, endedAt }));
  return check(history).verdict;
}

const good = "linearizable";
const bad = "not-linearizable";

t.test("by hand", async (t) => {
  t.equal(verdict([]), good);
  t.equal(verdict([[read(null), 0, 1]]), good);
  t.equal(verdict([[read("a"), 0, 1]]), bad, "never written");
  t.equal(verdict([[write("a"), 0, 1], [read("a"), 2, 3]]), good); // prettier-ignore
  t.equal(verdict([[write("a"), 0, 1], [read(null), 2, 3]]), bad, "stale"); // prettier-ignore
  t.equal(verdict([[write("a"), 0, 4], [read(null), 2, 3]]), good, "not written yet"); // prettier-ignore
  t.equal(verdict([[write("a"), 0, 9], [read("a"), 1, 2], [read(null), 3, 4]]), bad, "new, then old"); // prettier-ignore
  t.equal(verdict([[write("a"), 0, 9], [read(null), 1, 2], [read("a"), 3, 4]]), good, "old, then new"); // prettier-ignore
  t.equal(verdict([[write("a"), 0, 5], [write("b"), 1, 4], [read("a"), 6, 7]]), good, "either order"); // prettier-ignore
  t.equal(verdict([[read("a"), 0, 1], [write("a"), 2, 3]]), bad, "from the future"); // prettier-ignore
});

t.test("two readers of two concurrent writes must agree on their order", async (t) => {
  const writes: Line[] = [[write("a"), 0, 9], [write("b"), 0, 9]]; // prettier-ignore
  t.equal(verdict([...writes, [read("a"), 10, 11], [read("b"), 12, 13]]), bad);
  t.equal(verdict([...writes, [read("a"), 1, 2], [read("b"), 12, 13]]), good);
});

t.test("compare-and-set", async (t) => {
  t.equal(verdict([[write("a"), 0, 1], [cas("a", "b", true), 2, 3], [read("b"), 4, 5]]), good); // prettier-ignore
  t.equal(verdict([[write("a"), 0, 1], [cas("x", "b", true), 2, 3]]), bad, "it was not there"); // prettier-ignore
  t.equal(verdict([[write("a"), 0, 1], [cas("a", "b", false), 2, 3]]), bad, "it was there"); // prettier-ignore
  t.equal(verdict([[write("a"), 0, 1], [cas("x", "b", false), 2, 3], [read("a"), 4, 5]]), good); // prettier-ignore
  const found = (value: Value): Action => ({ ...cas("x", "b", false), found: value }) as Action;
  t.equal(verdict([[write("a"), 0, 1], [found("a"), 2, 3]]), good); // prettier-ignore
  t.equal(verdict([[write("a"), 0, 1], [found(null), 2, 3]]), bad); // prettier-ignore
  const both: Line[] = [[write("a"), 0, 1], [cas("a", "b", true), 2, 5], [cas("a", "c", true), 2, 5]]; // prettier-ignore
  t.equal(verdict(both), bad, "one of two that expect the same must fail: a lost update");
});

t.test("an operation without an answer is done at any later time, or never", async (t) => {
  t.equal(verdict([[write("a"), 0], [read(null), 2, 3], [read("a"), 4, 5]]), good, "late"); // prettier-ignore
  t.equal(verdict([[write("a"), 0], [read(null), 2, 3], [read(null), 4, 5]]), good, "never"); // prettier-ignore
  t.equal(verdict([[write("a"), 0], [read("a"), 2, 3], [read(null), 4, 5]]), bad, "not undone"); // prettier-ignore
  t.equal(verdict([[write("a"), 4], [read("a"), 2, 3]]), bad, "not before it was begun"); // prettier-ignore
  const twice: Line[] = [[write("a"), 0], [read("a"), 1, 2], [write("b"), 3, 4], [read("b"), 5, 6], [read("a"), 7, 8]]; // prettier-ignore
  t.equal(verdict(twice), bad, "not twice");
  t.equal(verdict([[write("a"), 0, 1], [cas("a", "b", false), 2], [read("b"), 3, 4]]), good, "its words do not count"); // prettier-ignore
  t.equal(
    verdict([
      [read("x"), 0],
      [read(null), 3, 4],
    ]),
    good,
  );
});

t.test("a fault is told with its key and its place", async (t) => {
  const stuck: Operation = { key: "b", action: read("x"), begunAt: 2, endedAt: 3 };
  const fine: Operation = { key: "a", action: write("x"), begunAt: 0, endedAt: 1 };
  t.match(check([fine, stuck]), {
    verdict: bad,
    keys: 2,
    operations: 2,
    faults: [{ key: "b", verdict: bad, stuckAt: stuck }],
  });
  const [small] = [{ seed: 7, operations: 400, keys: 1, clients: 8 }];
  t.match(check(simulate(small), { situationsMax: 10 }), { verdict: "undecided", faults: [{ key: "k0" }] });
});

const FULL = process.env["FULL"] === "1";

const simulations = fc.record({
  seed: fc.integer(),
  operations: fc.integer({ min: 1, max: 300 }),
  keys: fc.integer({ min: 1, max: 5 }),
  clients: fc.integer({ min: 1, max: 12 }),
  lost: fc.constantFrom(0, 0.02, 0.1),
  vague: fc.boolean(),
});

t.test("what registers did is accepted", async (t) => {
  fc.assert(
    fc.property(simulations, (options) => check(simulate(options)).verdict === good),
    { numRuns: FULL ? 100 : 40 },
  );
  t.pass();
});

/** Tries all orders of all operations, with and without each that was never answered. */
function isLinearizableByTrying(left: readonly Operation[], state: Value = null): boolean {
  if (left.every(({ endedAt }) => endedAt === undefined)) return true;
  return left.some((operation) => {
    const { action, begunAt, endedAt } = operation;
    const rest = left.filter((other) => other !== operation);
    if (rest.some((other) => (other.endedAt ?? Infinity) < begunAt)) return false;
    if (endedAt !== undefined) {
      const fits = after(state, action);
      return fits !== undefined && isLinearizableByTrying(rest, fits.state);
    }
    const changed =
      action.kind === "read" || (action.kind === "cas" && action.expected !== state) ? state : action.value;
    return isLinearizableByTrying(rest, changed);
  });
}

t.test("any small history gets the verdict that trying all orders gives", async (t) => {
  const value = fc.constantFrom("a", "b", "c");
  const action: fc.Arbitrary<Action> = fc.oneof(
    fc.record({ kind: fc.constant("read" as const), value: fc.option(value) }),
    fc.record({ kind: fc.constant("write" as const), value }),
    fc.record({ kind: fc.constant("cas" as const), expected: fc.option(value), value, done: fc.boolean() }),
    fc.record({
      kind: fc.constant("cas" as const),
      expected: fc.option(value),
      value,
      done: fc.constant(false),
      found: fc.option(value),
    }),
  );
  const operation = fc
    .tuple(action, fc.integer({ min: 0, max: 12 }), fc.integer({ min: 0, max: 8 }), fc.boolean())
    .map(([action, begunAt, lasts, isAnswered]): Operation => ({
      key: "k",
      action,
      begunAt,
      endedAt: isAnswered || action.kind === "read" ? begunAt + lasts : undefined,
    }));
  const counts = { good: 0, bad: 0 };
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 6 }), (history) => {
      const isGood = isLinearizableByTrying(history);
      counts[isGood ? "good" : "bad"] += 1;
      return (check(history).verdict === good) === isGood;
    }),
    { numRuns: 3_000 },
  );
  t.ok(counts.good > 300 && counts.bad > 300, `${counts.good} are linearizable, ${counts.bad} are not`);
});

/** Nothing is slower than to be sure that no order explains a history. */
const PLANTED = FULL
  ? { runs: 25, operations: { min: 150, max: 300 } }
  : { runs: 10, operations: { min: 60, max: 120 } };

/** Answered operations of a history in which nothing overlaps nothing: each fault planted there is one. */
const strict = fc.record({
  seed: fc.integer(),
  operations: fc.integer(PLANTED.operations),
  keys: fc.constant(1),
  clients: fc.integer({ min: 2, max: 12 }),
  lost: fc.constantFrom(0, 0.05),
});

function planted(options: SimulationOptions, fault: (history: readonly Operation[]) => Operation[]): string {
  const history = simulate(options);
  const last = Math.max(...history.map(({ begunAt, endedAt }) => endedAt ?? begunAt)) + 1;
  return check([...history, ...fault(history).map((each) => shifted(each, last))]).verdict;
}

const shifted = (operation: Operation, by: number): Operation => ({
  ...operation,
  begunAt: operation.begunAt + by,
  endedAt: operation.endedAt === undefined ? undefined : operation.endedAt + by,
});
const at = (action: Action, begunAt: number, endedAt: number): Operation => ({
  key: "k0",
  action,
  begunAt,
  endedAt,
});

t.test("planted faults are found behind any history", async (t) => {
  const rejects = (fault: (history: readonly Operation[]) => Operation[]): void =>
    fc.assert(
      fc.property(strict, (options) => planted(options, fault) === bad),
      { numRuns: PLANTED.runs },
    );
  const fresh = at(write("fresh"), 0, 1);
  rejects((history) => {
    const old = history.find(({ action, endedAt }) => action.kind === "write" && endedAt !== undefined);
    return [fresh, at(read(old?.action.kind === "write" ? old.action.value : null), 2, 3)];
  });
  t.pass("a stale read");
  rejects(() => [fresh, at(cas("fresh", "x", true), 2, 5), at(cas("fresh", "y", true), 3, 4)]);
  t.pass("a lost update");
  rejects(() => [at(read("nobody wrote this"), 0, 1)]);
  t.pass("a value that was never written");
  rejects(() => [fresh, at(read(null), 2, 3)]);
  t.pass("a write that is gone");
});

t.test("a fault in the middle of a simulated history is found", async (t) => {
  fc.assert(
    fc.property(strict, fc.nat(), (options, where) => {
      const history = simulate(options);
      const reads = history.flatMap(({ action, endedAt }, index) =>
        action.kind === "read" && endedAt !== undefined ? [index] : [],
      );
      const index = reads[where % Math.max(1, reads.length)];
      if (index === undefined) return true;
      const wrong = history.map((operation, at) =>
        at === index ? { ...operation, action: read("nobody wrote this") } : operation,
      );
      return check(wrong).verdict === bad;
    }),
    { numRuns: 25 },
  );
  t.pass();
});

t.test("ten thousand operations on fifty keys, and on a few hot ones with losses", async (t) => {
  const wide = check(simulate({ seed: 1, operations: 10_000, keys: 50, clients: 32, lost: 0.01 }));
  t.same([wide.verdict, wide.keys], [good, 50]);
  t.ok(wide.situations < 100_000, `${wide.situations} situations`);
  const hot = check(simulate({ seed: 2, operations: 12_000, keys: 4, clients: 16, lost: 0.005 }));
  t.equal(hot.verdict, good);
  t.ok(hot.situations < 1_000_000, `${hot.situations} situations`);
  t.comment(`wide: ${wide.situations} situations; hot: ${hot.situations}`);
});
