/** The peekable buffer against a plain array of bytes. */
import * as fc from "fast-check";
import t from "tap";
import { PeekBuffer } from "../../buffer/peek-buffer.ts";

/** The obvious implementation. */
class Model {
  bytes = Buffer.alloc(0);
  peeked = 0;

  append(bytes: Uint8Array): void {
    this.bytes = Buffer.concat([this.bytes, bytes]);
  }

  read(count: number): Buffer {
    const result = this.bytes.subarray(0, count);
    this.bytes = this.bytes.subarray(count);
    this.peeked = 0;
    return result;
  }

  peek(count: number): Buffer {
    const result = this.bytes.subarray(this.peeked, this.peeked + count);
    this.peeked += result.length;
    return result;
  }
}

const step = fc.oneof(
  fc.record({ do: fc.constant("append" as const), bytes: fc.uint8Array({ maxLength: 40 }) }),
  fc.record({ do: fc.constantFrom("read" as const, "peek" as const, "discard" as const), count: fc.nat(60) }),
  fc.record({ do: fc.constant("reset" as const) }),
);

t.test("does what a plain array of bytes does", async (t) => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.nat(30), fc.nat(30), (steps, start, length) => {
      const buffer = new PeekBuffer();
      const model = new Model();
      for (const next of steps) {
        if (next.do === "append") {
          buffer.append(next.bytes);
          model.append(next.bytes);
        } else if (next.do === "reset") {
          buffer.resetPeek();
          model.peeked = 0;
        } else if (next.do === "discard") {
          buffer.discard(next.count);
          model.read(next.count);
        } else if (!buffer[next.do](next.count).equals(model[next.do](next.count))) return false;
        const same = buffer.length === model.bytes.length && buffer.peeked === model.peeked;
        if (!same || !Buffer.concat([...buffer.views()]).equals(model.bytes)) return false;
      }
      const end = start + length;
      const expected = model.bytes.subarray(start, end);
      return (
        Buffer.concat([...buffer.views(start, end)]).equals(expected) &&
        buffer.slice(start, end).read().equals(expected) &&
        buffer.bytes(start, end).equals(expected)
      );
    }),
    { numRuns: 2000 },
  );
  t.pass();
});

t.test("indexOf finds what Buffer.indexOf finds, across chunks", async (t) => {
  const letters = fc.array(fc.constantFrom(0, 1), { maxLength: 12 }).map((list) => Uint8Array.from(list));
  const pattern = fc
    .array(fc.constantFrom(0, 1), { minLength: 1, maxLength: 5 })
    .map((list) => Uint8Array.from(list));
  fc.assert(
    fc.property(
      fc.array(letters, { maxLength: 8 }),
      pattern,
      fc.nat(40),
      fc.nat(10),
      (chunks, pattern, from, cut) => {
        const buffer = new PeekBuffer(...chunks);
        buffer.discard(cut);
        const plain = Buffer.concat(chunks).subarray(cut);
        const expected = from > plain.length ? -1 : plain.indexOf(pattern, from);
        return buffer.indexOf(pattern, from) === expected;
      },
    ),
    { numRuns: 5000 },
  );
  t.pass();
});

t.test("peek goes on where it stopped, and consumes nothing", async (t) => {
  const buffer = new PeekBuffer(Buffer.from("abc"), Buffer.from("def"));
  t.equal(buffer.peek(2).toString(), "ab");
  t.equal(buffer.peek(2).toString(), "cd");
  t.equal(buffer.peek().toString(), "ef");
  t.equal(buffer.peek(1).length, 0);
  buffer.resetPeek();
  t.equal(buffer.peek(1).toString(), "a");
  t.equal(buffer.length, 6);
  t.equal(buffer.consumed, 0);
});

t.test("bytes within one chunk are not copied", async (t) => {
  const chunk = Buffer.from("abcdef");
  const buffer = new PeekBuffer(chunk);
  t.equal(buffer.bytes(1, 3).buffer, chunk.buffer);
  t.equal(buffer.slice(2).read().buffer, chunk.buffer);
});

t.test("who gives a buffer away cannot use it any more", async (t) => {
  const given = new PeekBuffer(Buffer.from("abc"));
  const taker = new PeekBuffer();
  taker.append(given);
  t.equal(taker.read().toString(), "abc");
  for (const use of [
    () => given.read(),
    () => given.peek(),
    () => given.append(Buffer.from("d")),
    () => given.give(),
  ]) {
    t.throws(use, { code: "E_BUFFER_GIVEN" });
  }
});
