import * as fc from "fast-check";
import t from "tap";
import { STRING_BYTES_MAX, XdrError, XdrReader, XdrWriter } from "../../../../domain/libvirt/rpc/xdr.ts";
import { codePoint } from "../../../../../version-router/test/properties/code-point.ts";

void t.test("values are big-endian and padded to four bytes (RFC 4506)", async (t) => {
  const writer = new XdrWriter()
    .int(-1)
    .uint(0x20008086)
    .string("abcde")
    .fixedOpaque(Buffer.from("f00d", "hex"));
  writer
    .optional<string>(undefined, (to, value) => to.string(value))
    .optional("x", (to, value) => to.string(value));
  const words = ["ffffffff", "20008086", "00000005", "61626364", "65000000", "f00d0000"];
  t.equal(
    writer.bytes().toString("hex"),
    [...words, "00000000", "00000001", "00000001", "78000000"].join(""),
  );
});

void t.test("what is written is read back, whatever it is", async () => {
  const value = fc.record({
    int: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
    uint: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
    text: fc.string({ unit: codePoint }).filter((text) => text.isWellFormed()),
    opaque: fc.uint8Array({ minLength: 7, maxLength: 7 }),
    maybe: fc.option(fc.string(), { nil: undefined }),
  });
  fc.assert(
    fc.property(value, ({ int, uint, text, opaque, maybe }) => {
      const writer = new XdrWriter().int(int).uint(uint).string(text).fixedOpaque(opaque);
      const reader = new XdrReader(writer.optional(maybe, (to, inner) => to.string(inner)).bytes());
      const back = [reader.int(), reader.uint(), reader.string(), reader.fixedOpaque(7)] as const;
      const inner = reader.optional((item) => item.string());
      return (
        back[0] === int &&
        back[1] === uint &&
        back[2] === text &&
        back[3].equals(opaque) &&
        inner === maybe &&
        reader.remaining === 0
      );
    }),
  );
});

void t.test("64-bit numbers keep every bit", async (t) => {
  t.equal(new XdrReader(Buffer.from("fedcba9876543210", "hex")).unsignedHyper(), 0xfedc_ba98_7654_3210n);
});

void t.test("lengths are bounded before anything is allocated", async (t) => {
  const huge = new XdrWriter().uint(0xffff_ffff).bytes();
  t.throws(() => new XdrReader(huge).string(), { name: "XdrError" }, "a string beyond its cap");
  t.throws(
    () => new XdrReader(huge).array(1000, (reader) => reader.int()),
    { name: "XdrError" },
    "an array beyond its cap",
  );
  t.throws(
    () => new XdrReader(new XdrWriter().uint(100).bytes()).string(),
    { name: "XdrError" },
    "a string beyond the bytes",
  );
  t.throws(() => new XdrReader(Buffer.alloc(3)).int(), { name: "XdrError" }, "a number cut off");
  t.throws(
    () => new XdrReader(new XdrWriter().uint(2).bytes()).optional((item) => item.int()),
    { name: "XdrError" },
    "a bad flag",
  );
  t.throws(
    () => new XdrReader(Buffer.from("00000001ff000000", "hex")).string(),
    { name: "XdrError" },
    "not UTF-8",
  );
  t.throws(
    () => new XdrWriter().string("x".repeat(STRING_BYTES_MAX + 1)),
    { name: "XdrError" },
    "too long to send",
  );
});

void t.test("a decoder fed with noise throws XdrError or answers, and nothing else", async () => {
  const readers = [
    (reader: XdrReader) => reader.string(),
    (reader: XdrReader) => reader.array(16, (item) => item.string(64)),
    (reader: XdrReader) => reader.optional((item) => item.fixedOpaque(16)),
  ];
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), fc.constantFrom(...readers), (noise, read) => {
      try {
        read(new XdrReader(noise));
        return true;
      } catch (error) {
        return error instanceof XdrError;
      }
    }),
  );
});
