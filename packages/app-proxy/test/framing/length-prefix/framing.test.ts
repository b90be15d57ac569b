import * as fc from "fast-check";
import t from "tap";
import { lengthPrefixFraming, type LengthPrefixOptions } from "../../../framing/length-prefix/index.ts";
import { checkFraming, readAll } from "../any-split.ts";

const shapes: readonly Pick<LengthPrefixOptions, "sizeBytes" | "littleEndian" | "includesHeader">[] = (
  [1, 2, 4, 8] as const
).flatMap((sizeBytes) =>
  [false, true].flatMap((littleEndian) =>
    [false, true].map((includesHeader) => ({ sizeBytes, littleEndian, includesHeader })),
  ),
);

for (const shape of shapes) {
  t.test(JSON.stringify(shape), async (t) => {
    const payload = fc.uint8Array({ maxLength: 200 });
    const framing = lengthPrefixFraming({ ...shape, messageBytesMax: 200 });
    const hostile = fc.uint8Array({ maxLength: 20 });
    checkFraming(t, { framing, requests: payload, replies: payload, asked: Buffer.alloc(0), hostile });
  });
}

const bytesOf = (options: LengthPrefixOptions, payload: string): string =>
  Buffer.concat(lengthPrefixFraming(options).encodeRequest(Buffer.from(payload))).toString("hex");

t.test("golden bytes", async (t) => {
  t.equal(bytesOf({ sizeBytes: 1 }, "ab"), "026162");
  t.equal(bytesOf({ sizeBytes: 2, includesHeader: true }, "ab"), "00046162");
  t.equal(bytesOf({ sizeBytes: 4, littleEndian: true }, "ab"), "020000006162");
  t.equal(bytesOf({ sizeBytes: 8, includesHeader: true }, "ab"), "000000000000000a6162");
});

t.test("what is too long is refused before it is awaited, and not sent", async (t) => {
  const read = (options: LengthPrefixOptions, hex: string) => {
    const reader = lengthPrefixFraming(options).requestReader();
    return readAll((buffer) => reader.read(buffer), Buffer.from(hex, "hex")).refused;
  };
  t.equal(read({ sizeBytes: 4, messageBytesMax: 10 }, "0000000b"), "too-large");
  t.equal(read({ sizeBytes: 4, messageBytesMax: 10 }, "0000000a"), undefined);
  t.equal(read({ sizeBytes: 8 }, "ffffffffffffffff"), "too-large");
  t.equal(read({ sizeBytes: 4, includesHeader: true }, "00000003"), "malformed");
  t.throws(() => bytesOf({ sizeBytes: 1 }, "x".repeat(256)), { code: "E_MESSAGE_TOO_LARGE" });
  t.throws(() => bytesOf({ sizeBytes: 1, includesHeader: true }, "x".repeat(255)), {
    code: "E_MESSAGE_TOO_LARGE",
  });
});
