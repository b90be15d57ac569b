import * as fc from "fast-check";
import t from "tap";
import { linesFraming, type LinesOptions } from "../../../framing/lines/index.ts";
import { checkFraming, readAll } from "../any-split.ts";
import { codePoint } from "../../../../version-router/test/properties/code-point.ts";

const without = (delimiter: string) =>
  fc
    .string({ unit: codePoint, maxLength: 60 })
    .map((text) => text.replaceAll(/[\r\n;]/g, "").replaceAll(delimiter, ""));
const hostile = fc.oneof(
  fc.uint8Array({ maxLength: 20 }),
  fc.string({ unit: fc.constantFrom("\r", "\n", ";", "é"), maxLength: 300 }).map((text) => Buffer.from(text)),
);

for (const delimiter of ["\n", "\r\n", ";;;"]) {
  t.test(`lines ending in ${JSON.stringify(delimiter)}`, async (t) => {
    const framing = linesFraming({ delimiter, messageBytesMax: 300 });
    checkFraming(t, {
      framing,
      requests: without(delimiter),
      replies: without(delimiter),
      asked: "",
      hostile,
    });
  });
}

t.test("messages of several lines", async (t) => {
  const options: LinesOptions = {
    delimiter: "\r\n",
    messageBytesMax: 1000,
    requestEnds: (line, index) => index > 0 || !line.startsWith("set "),
    replyEnds: (line) => line === "END",
  };
  const word = fc.stringMatching(/^[a-z]{0,9}$/);
  const request = fc.oneof(
    word.map((each) => `get ${each}`),
    fc.tuple(word, word).map(([key, value]) => `set ${key}\r\n${value}`),
  );
  const reply = fc.array(word, { maxLength: 5 }).map((lines) => [...lines, "END"].join("\r\n"));
  checkFraming(t, { framing: linesFraming(options), requests: request, replies: reply, asked: "", hostile });
});

const read = (options: LinesOptions, bytes: Buffer) => {
  const reader = linesFraming(options).requestReader();
  return readAll((buffer) => reader.read(buffer), bytes);
};

t.test("caps and encodings", async (t) => {
  t.equal(read({ messageBytesMax: 4 }, Buffer.from("abcd\n")).refused, "too-large");
  t.equal(read({ messageBytesMax: 4 }, Buffer.from("abcde")).refused, "too-large");
  t.same(read({ messageBytesMax: 4 }, Buffer.from("abc\n")).messages, ["abc"]);
  t.equal(read({}, Buffer.of(0xff, 0x0a)).refused, "malformed");
  t.same(read({ encoding: "latin1" }, Buffer.of(0xff, 0x0a)).messages, ["ÿ"]);
  t.same(read({}, Buffer.from("\n\n")).messages, ["", ""]);
});

t.test("a translation cannot make two messages of one", async (t) => {
  t.throws(() => linesFraming().encodeRequest("a\nb"), { code: "E_HANDLER" });
  t.throws(() => linesFraming({ delimiter: "" }), { code: "E_HANDLER" });
});

t.test("a line that comes byte by byte is not looked at again and again", async (t) => {
  const line = Buffer.alloc(60_000, "x");
  const startedMs = performance.now();
  const reader = linesFraming().requestReader();
  const { left } = readAll((buffer) => reader.read(buffer), line, [1]);
  t.equal(left, line.length);
  t.ok(performance.now() - startedMs < 5_000);
});
