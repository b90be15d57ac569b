import * as fc from "fast-check";
import t from "tap";
import {
  MSGPACK_NIL,
  msgpackFraming,
  msgpackRpcFraming,
  type MsgpackRpcReply,
  type MsgpackRpcRequest,
} from "../../../framing/msgpack/index.ts";
import { checkFraming, readAll } from "../any-split.ts";
import { anyKeys, packr } from "./oracle.ts";

const value = fc
  .oneof(
    fc.jsonValue({ maxDepth: 3 }),
    fc.uint8Array({ maxLength: 300 }),
    fc.date({ noInvalidDate: true }),
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }),
    fc.string({ minLength: 20, maxLength: 400 }),
    fc.array(fc.nat(), { minLength: 10, maxLength: 40 }),
  )
  .map((each) => Buffer.from(packr.pack(each)));
const hostile = fc.oneof(
  fc.uint8Array({ maxLength: 16 }),
  fc
    .array(fc.constantFrom(0xc1, 0xdd, 0xdf, 0xc6, 0xc9, 0xff, 0x00, 0x94, 0x83, 0xd8), { maxLength: 20 })
    .map((bytes) => Buffer.from(bytes)),
);

t.test("values: any split, any bytes", async (t) => {
  const framing = msgpackFraming({ messageBytesMax: 4000 });
  checkFraming(t, { framing, requests: value, replies: value, asked: MSGPACK_NIL, hostile });
});

t.test("every type has the length that a decoder gives it", async (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 40 }), (bytes) => {
      const reader = msgpackFraming().requestReader();
      const { messages } = readAll((buffer) => reader.read(buffer), bytes);
      const [first] = messages;
      // Decoders refuse extension types that they do not know, and the scan must not.
      if (first === undefined || [...first].some((byte) => byte >= 0xc7 && byte <= 0xd8)) return true;
      try {
        anyKeys.unpack(first);
        return true;
      } catch {
        return false;
      }
    }),
    { numRuns: 1000 },
  );
  t.pass();
});

const name = fc.string({ unit: "grapheme", maxLength: 40 });
const id = fc.nat(0xffff_ffff);
const request: fc.Arbitrary<MsgpackRpcRequest> = fc.record({
  id: fc.option(id, { nil: undefined }),
  method: name,
  params: value,
});
const reply: fc.Arbitrary<MsgpackRpcReply> = fc.record({ id, error: value, result: value });
const asked = { id: 1, method: "m", params: MSGPACK_NIL };

t.test("MessagePack-RPC: any split, any bytes", async (t) => {
  const framing = msgpackRpcFraming({ messageBytesMax: 4000 });
  checkFraming(t, { framing, requests: request, replies: reply, asked, hostile });
});

const read = (bytes: Buffer, bytesMax = 1000) => {
  const reader = msgpackRpcFraming({ messageBytesMax: bytesMax }).requestReader();
  return readAll((buffer) => reader.read(buffer), bytes);
};

t.test("what another's encoder writes is understood", async (t) => {
  const { messages, refused } = read(
    Buffer.concat([packr.pack([0, 300, "add", [1, 2]]), packr.pack([2, "note", ["x"]])]),
  );
  t.equal(refused, undefined);
  t.match(messages, [
    { id: 300, method: "add" },
    { id: undefined, method: "note" },
  ]);
  t.same(packr.unpack(Buffer.from(messages[0]?.params ?? [])), [1, 2]);
});

t.test("caps and faults", async (t) => {
  t.equal(read(Buffer.from("c1", "hex")).refused, "malformed");
  t.equal(
    read(Buffer.from("ddffffffff", "hex")).refused,
    "too-large",
    "an array that claims four billion members",
  );
  t.equal(read(Buffer.from("c6ffffffff", "hex")).refused, "too-large");
  t.equal(read(packr.pack([3, 1, "m", []])).refused, "malformed");
  t.equal(read(packr.pack([0, -1, "m", []])).refused, "malformed");
  t.equal(read(packr.pack("text")).refused, "malformed");
});

t.test("replies are matched by id; a server's notifications answer nobody", async (t) => {
  const { answers, expectsReply, failure, isSuccess, replyReader } = msgpackRpcFraming();
  const failed = failure("late", "too late", asked) as MsgpackRpcReply;
  t.ok(answers?.(failed, asked));
  t.notOk(answers?.({ ...failed, id: 2 }, asked));
  t.notOk(isSuccess?.(failed, asked));
  t.notOk(expectsReply?.({ ...asked, id: undefined }));
  const reader = replyReader();
  const bytes = Buffer.concat([packr.pack([2, "news", []]), packr.pack([1, 1, null, "ok"])]);
  const { messages } = readAll((buffer) => reader.read(buffer, asked, false), bytes);
  t.match(messages, [{ id: 1 }]);
});
