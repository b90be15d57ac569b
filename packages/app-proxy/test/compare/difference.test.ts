import * as fc from "fast-check";
import t from "tap";
import { differencesOf } from "../../compare/difference.ts";
import { compileRules, type CompareRules } from "../../compare/rules.ts";
import type { ComparableValue } from "../../compare/value.ts";

const paths = (left: ComparableValue, right: ComparableValue, rules: CompareRules = {}): string[] =>
  differencesOf(left, right, compileRules(rules)).map(({ path }) => path);

const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));

t.test("a value, a field that is missing, another type", async (t) => {
  t.same(paths({ a: { b: 1 }, c: 2 }, { a: { b: 2 }, c: 2 }), ["a.b"]);
  t.same(paths({ a: 1 }, {}), ["a"]);
  t.same(paths({ a: [] }, { a: {} }), ["a"]);
  t.same(paths({ "a.b": 1 }, { "a.b": 2 }), ['["a.b"]']);
  t.same(paths("x", "y"), ["(value)"]);
  t.same(paths(JSON.parse('{"__proto__": {"a": 1}}'), { a: 1 }), ["__proto__", "a"]);
});

t.test("bytes are looked into as JSON where both are", async (t) => {
  t.same(
    paths(json({ a: 1, b: 2 }), Buffer.from('{ "b": 2, "a": 1 }')),
    [],
    "spaces and order are no difference",
  );
  t.same(paths({ body: json({ a: 1 }) }, { body: json({ a: 2 }) }), ["body.a"]);
  t.same(paths({ body: Buffer.from("<a>") }, { body: Buffer.from("<b>") }), ["body"]);
  const withId = (id: string): Buffer => Buffer.from(`{"id":${id}}`);
  t.same(
    paths(withId("9007199254740993"), withId("9007199254740992")),
    ["id"],
    "numbers beyond a double are not made one",
  );
});

t.test("of a list it is said what differs", async (t) => {
  const item = (id: number, price: number, token: string) => ({ id, price, token });
  const list = [item(1, 10, "a"), item(2, 20, "b"), item(3, 30, "c")];
  t.same(paths({ l: list }, { l: list.slice(1) }), ["l(length)"]);
  t.same(paths({ l: list }, { l: list.toReversed() }), ["l(order)"]);
  const tokens = list.toReversed().map((each, at) => ({ ...each, token: `t${at}` }));
  t.same(paths({ l: list }, { l: tokens }).sort(), ["l(order)", "l[*].token"]);
  const wrong = tokens.map((each) => (each.id === 2 ? { ...each, price: 21 } : each));
  t.same(paths({ l: list }, { l: wrong }).sort(), ["l(order)", "l[*].price", "l[*].token"]);
  const swapped = [item(1, 20, "a"), item(2, 10, "b"), item(3, 30, "c")];
  t.same(paths({ l: list }, { l: swapped }), ["l(pairing)"], "the right values at the wrong members");
  t.same(paths([["a", "b"], ["c"]], [["b", "a"], ["c"]]), ["[*](order)"]);
});

t.test("what the rules say is nothing is nothing", async (t) => {
  const left = {
    body: { at: 1, items: [{ id: 1, seen: 5 }], deep: { very: { at: 9 } } },
    headers: { date: "a" },
  };
  const right = {
    body: { at: 2, items: [{ id: 1, seen: 6 }], deep: { very: { at: 8 } } },
    headers: { date: "b" },
  };
  t.same(paths(left, right).length, 4);
  t.same(
    paths(left, right, { ignore: ["body.at", "body.items[*].seen", "**.very"], ignoreHeaders: ["Date"] }),
    [],
  );
  t.same(paths(left, right, { ignore: ["body.*", "headers"] }), []);
  t.same(paths({ items: 1 }, { items: 2 }, { ignore: ["item"] }), ["items"], "a path ends where a name ends");
  const replace = [{ match: /at \d+/, by: "at T" }];
  t.same(paths({ log: "began at 5, at 6" }, { log: "began at 7, at 8" }, { replace }), []);
  t.same(paths({ log: "began at 5" }, { log: "ended at 7" }, { replace }), ["log"]);
  t.same(paths({ l: [1, 2] }, { l: [2, 1] }, { unordered: ["l"] }), []);
  t.same(paths({ l: [1, 2] }, { l: [2, 3] }, { unordered: ["l"] }), ["l[*]"]);
  t.throws(() => compileRules({ ignore: [""] }), { code: "E_HANDLER" });
});

const value = fc.jsonValue({ maxDepth: 4 }) as fc.Arbitrary<ComparableValue>;

t.test(
  "any value equals itself; any two are told apart exactly when they are not the same JSON",
  async () => {
    /** One text for what is the same JSON, whatever the order of its fields. */
    const normal = (each: unknown): string => {
      if (Array.isArray(each)) return `[${each.map(normal).join()}]`;
      if (typeof each !== "object" || each === null) return JSON.stringify(each);
      const fields = Object.entries(each).map(([key, inner]) => `${JSON.stringify(key)}:${normal(inner)}`);
      return `{${fields.sort().join()}}`;
    };
    fc.assert(
      fc.property(value, value, (left, right) => {
        const copy = structuredClone(left);
        if (paths(left, copy).length > 0) return false;
        const same = JSON.stringify(["", normal(left)]) === JSON.stringify(["", normal(right)]);
        return (paths(left, right).length === 0) === same || typeof left !== typeof right;
      }),
    );
  },
);

t.test("what differs is bounded, whatever comes", async (t) => {
  const many = (n: number) => Object.fromEntries(Array.from({ length: 500 }, (_, at) => [`k${at}`, n]));
  const found = paths(many(1), many(2));
  t.equal(found.length, 65);
  t.equal(found.at(-1), "(more)");
  let deep: ComparableValue = 1;
  let other: ComparableValue = 2;
  for (let at = 0; at < 2_000; at += 1) [deep, other] = [[deep], [other]];
  t.equal(paths(deep, other).length, 1);
});
