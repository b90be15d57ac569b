/** The end of an output is kept, and characters stay whole. */
import * as fc from "fast-check";
import t from "tap";
import { OutputTail, textListener } from "../../remote/output.ts";

t.test("keeps the end of whatever comes in whatever pieces", async () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 40 })),
      fc.integer({ min: 1, max: 64 }),
      (pieces, most) => {
        const ascii = pieces.map((piece) => Buffer.from(piece.map((byte) => 97 + (byte % 26))));
        const tail = new OutputTail(most);
        for (const piece of ascii) tail.push(piece);
        const whole = Buffer.concat(ascii).toString();
        const dropped = Math.max(0, whole.length - most);
        const note = dropped === 0 ? "" : `[${dropped} bytes before this are not kept]\n`;
        return tail.text() === note + whole.slice(dropped);
      },
    ),
  );
});

t.test("does not begin in the middle of a character", async (t) => {
  const tail = new OutputTail(4);
  tail.push(Buffer.from("äöü"));
  t.equal(tail.text(), "[2 bytes before this are not kept]\nöü");
  tail.push(Buffer.from("x"));
  t.equal(tail.text(), "[3 bytes before this are not kept]\nüx");
});

t.test("hands on whole characters", async (t) => {
  const heard: string[] = [];
  const listen = textListener((text) => heard.push(text));
  const bytes = Buffer.from("aä");
  listen(bytes.subarray(0, 2));
  listen(bytes.subarray(2));
  t.same(heard, ["a", "ä"]);
});
