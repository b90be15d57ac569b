import * as fc from "fast-check";
import t from "tap";
import { KeyBook } from "../../load/key-book.ts";

const book = (keys = 3) => new KeyBook({ prefix: "k", keys, valueBytes: 40 });

t.test("values are padded, name their key, and carry a sequence that grows", async (t) => {
  const keys = book();
  const first = keys.beginWrite(1);
  t.equal(first.key, "k-1");
  t.equal(first.value.length, 40);
  t.equal(keys.beginWrite(1).sequence, first.sequence + 1);
});

t.test("a missing key is lost only when a write of it was acknowledged", async (t) => {
  const keys = book();
  t.equal(keys.judge(0, keys.acknowledged(0), undefined), undefined);
  keys.acknowledge(0, keys.beginWrite(0).sequence);
  t.equal(keys.judge(0, keys.acknowledged(0), undefined), "lost");
});

t.test(
  "an answer older than the last acknowledged write is stale, a newer unacknowledged one is right",
  async (t) => {
    const keys = book();
    const [first, second, third] = [keys.beginWrite(0), keys.beginWrite(0), keys.beginWrite(0)];
    keys.acknowledge(0, second.sequence);
    const atLeast = keys.acknowledged(0);
    t.equal(keys.judge(0, atLeast, first.value), "stale");
    t.equal(keys.judge(0, atLeast, second.value), undefined);
    t.equal(keys.judge(0, atLeast, third.value), undefined);
  },
);

t.test("a read sent before an acknowledgement may still answer the older value", async (t) => {
  const keys = book();
  const first = keys.beginWrite(0);
  keys.acknowledge(0, first.sequence);
  const atLeast = keys.acknowledged(0);
  keys.acknowledge(0, keys.beginWrite(0).sequence);
  t.equal(keys.judge(0, atLeast, first.value), undefined);
});

t.test("values that were never written are foreign", async (t) => {
  const keys = book();
  const other = keys.beginWrite(1).value;
  for (const value of [other, "", "k-0", "k-0 x", "k-0 7 xxx", "k-0 -1 xxx"])
    t.equal(keys.judge(0, 0, value), "foreign", value);
});

t.test("reads go to keys that exist, mostly to acknowledged ones", async () => {
  fc.assert(
    fc.property(
      fc.array(fc.nat(9)),
      fc.array(fc.double({ min: 0, max: 0.999, noNaN: true }), { minLength: 2 }),
      (writes, draws) => {
        const keys = book(10);
        for (const index of writes) keys.acknowledge(index, keys.beginWrite(index).sequence);
        let draw = 0;
        const picked = keys.pickRead(() => draws.at(draw++ % draws.length) as number);
        return writes.length === 0 ? picked >= 0 && picked < 10 : writes.includes(picked);
      },
    ),
  );
});
