import { createHash } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import * as fc from "fast-check";
import t from "tap";
import { canonicalJson } from "../../trust/index.ts";

/** Strings of RFC 8785 that our narrowed form shares with it: escapes of 3.2.2.2, order of 3.2.3. */
const vectors: readonly (readonly [what: string, value: unknown, text: string])[] = [
  ["literals", [null, true, false], "[null,true,false]"],
  ["integers", [0, -0, -1, Number.MAX_SAFE_INTEGER], "[0,0,-1,9007199254740991]"],
  ["escapes", '\u20ac$\u000f\nA\'B"\\"/', '"€$\\u000f\\nA\'B\\"\\\\\\"/"'],
  ["short escapes", "\b\t\n\f\r", '"\\b\\t\\n\\f\\r"'],
  ["no escape beyond ASCII", "\u007f\u2028\ud83d\ude00", '"\u007f\u2028😀"'],
  [
    "members by UTF-16 code units",
    { "\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\ud83d\ude00": 5, "\u0080": 6, "\u00f6": 7 },
    '{"\\r":2,"1":4,"\u0080":6,"ö":7,"€":1,"😀":5,"\ufb33":3}',
  ],
  ["nesting, no white space", { b: [{ d: 1, c: {} }], a: [] }, '{"a":[],"b":[{"c":{},"d":1}]}'],
];

for (const [what, value, text] of vectors) {
  t.test(what, async (t) => t.equal(canonicalJson(value), text));
}

t.test("a statement's golden digest, so that signatures outlive this code", async (t) => {
  const statement = { kind: "retire", version: 12, service: "kv" };
  t.equal(canonicalJson(statement), '{"kind":"retire","service":"kv","version":12}');
  const digest = createHash("sha256").update(canonicalJson(statement)).digest("hex");
  t.equal(digest, "404914ce5a08cbc5bcf77a0caf65dc16204a339f705bd266057dd70df07a1a9e");
});

const refused: readonly (readonly [what: string, value: unknown])[] = [
  ["a fraction", 1.5],
  ["beyond 2^53", 2 ** 53],
  ["NaN", Number.NaN],
  ["half of a surrogate pair", "\ud83d"],
  ["half of a surrogate pair in a key", { "\ude00": 1 }],
  ["undefined", { a: undefined }],
  ["a hole", Array(1)],
  ["a bigint", 1n],
  ["a function", () => 1],
  ["a date", new Date(0)],
  ["a map", new Map()],
  ["bottomless nesting", JSON.parse(`${"[".repeat(40)}${"]".repeat(40)}`)],
];

for (const [what, value] of refused) {
  t.test(`refuses ${what}`, async (t) => t.throws(() => canonicalJson(value), TypeError));
}

const leaf = fc.oneof(
  fc.constant(null),
  fc.boolean(),
  fc.maxSafeInteger().filter((value) => !Object.is(value, -0)),
  fc.string({ unit: "grapheme" }),
);
const { value } = fc.letrec((tie) => ({
  value: fc.oneof({ maxDepth: 4 }, leaf, fc.array(tie("value")), fc.dictionary(fc.string(), tie("value"))),
}));

t.test("says the same thing again after a round trip, whatever the order of members", async () => {
  fc.assert(
    fc.property(value, (value) => {
      const text = canonicalJson(value);
      return canonicalJson(reversed(JSON.parse(text))) === text;
    }),
  );
});

t.test("is injective: what it says can be read back", async () => {
  fc.assert(
    fc.property(value, (value) => isDeepStrictEqual(plain(JSON.parse(canonicalJson(value))), plain(value))),
  );
});

/** fast-check makes objects with and without a prototype; JSON knows no difference. */
function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}

function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(
    Object.entries(value)
      .toReversed()
      .map(([key, item]) => [key, reversed(item)]),
  );
}
