import * as fc from "fast-check";
import t from "tap";
import { ALL_KEYS } from "../../policy/contract.ts";
import { KeyOrder } from "../../policy/key-order.ts";

t.test("one at a time per key, in order of arrival; keys do not wait for each other", async (t) => {
  const order = new KeyOrder();
  const begun: string[] = [];
  const a = order.acquire("k", () => begun.push("a"));
  const b = order.acquire("k", () => begun.push("b"));
  order.acquire("k", () => begun.push("c"));
  order.acquire("other", () => begun.push("x"));
  t.same(begun, ["a", "x"]);
  a();
  t.same(begun, ["a", "x", "b"]);
  a();
  t.same(begun, ["a", "x", "b"], "giving back twice does nothing");
  b();
  t.same(begun, ["a", "x", "b", "c"]);
});

t.test("who leaves the queue is passed over, and nothing is kept of keys that nobody holds", async (t) => {
  const order = new KeyOrder();
  const begun: string[] = [];
  const a = order.acquire("k", () => begun.push("a"));
  const b = order.acquire("k", () => begun.push("b"));
  const c = order.acquire("k", () => begun.push("c"));
  b();
  a();
  t.same(begun, ["a", "c"]);
  c();
  t.equal(order.size, 0);
});

t.test("ten thousand short holders do not nest", async (t) => {
  const order = new KeyOrder();
  const first = order.acquire("k", () => undefined);
  let count = 0;
  for (let n = 0; n < 10_000; n += 1) {
    const release = order.acquire("k", () => {
      count += 1;
      release();
    });
  }
  first();
  t.equal(count, 10_000);
  t.equal(order.size, 0);
});

t.test("several keys at once; all keys wait for everyone and let nobody pass", async (t) => {
  const order = new KeyOrder();
  const begun: string[] = [];
  const take = (name: string, keys: Parameters<KeyOrder["acquire"]>[0]) =>
    order.acquire(keys, () => begun.push(name));
  const a = take("a", ["k", "l"]);
  const b = take("b", ["l", "k", "m"]);
  const c = take("c", "m");
  const d = take("d", "n");
  const all = take("all", ALL_KEYS);
  const e = take("e", "n");
  t.same(begun, ["a", "d"]);
  d();
  a();
  t.same(begun, ["a", "d", "b"]);
  b();
  t.same(begun, ["a", "d", "b", "c"]);
  c();
  t.same(begun, ["a", "d", "b", "c", "all"]);
  all();
  t.same(begun, ["a", "d", "b", "c", "all", "e"]);
  e();
  t.equal(order.size, 0);
});

t.test(
  "in any order of comings and goings: nobody beside one of the same key, everybody gets a turn",
  async (t) => {
    const keys: fc.Arbitrary<string[] | typeof ALL_KEYS> = fc.oneof(
      fc.uniqueArray(fc.constantFrom<string>("a", "b", "c"), { minLength: 1, maxLength: 3 }),
      fc.constant(ALL_KEYS),
    );
    fc.assert(
      fc.property(fc.array(fc.record({ keys, leaves: fc.nat(20) }), { maxLength: 25 }), (moves) => {
        const order = new KeyOrder();
        const holding = new Map<number, string[] | typeof ALL_KEYS>();
        const releases: (() => void)[] = [];
        let clash = false;
        let turns = 0;
        moves.forEach((move, id) => {
          const release = order.acquire(move.keys, () => {
            turns += 1;
            for (const held of holding.values()) {
              if (held === ALL_KEYS || move.keys === ALL_KEYS) clash = true;
              else if (held.some((key) => move.keys !== ALL_KEYS && move.keys.includes(key))) clash = true;
            }
            holding.set(id, move.keys);
          });
          releases.push(() => {
            holding.delete(id);
            release();
          });
          const [leaving] = [...holding.keys()].slice(move.leaves % 5);
          if (leaving !== undefined) releases[leaving]?.();
        });
        for (let [id] = holding.keys(); id !== undefined; [id] = holding.keys()) releases[id]?.();
        return !clash && turns === moves.length && order.size === 0;
      }),
      { numRuns: 500 },
    );
    t.pass();
  },
);
