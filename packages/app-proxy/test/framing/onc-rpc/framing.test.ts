import * as fc from "fast-check";
import t from "tap";
import {
  oncRpcFraming,
  RPC_FRAGMENTS_MAX,
  rpcReply,
  type RpcCall,
  type RpcReply,
} from "../../../framing/onc-rpc/index.ts";
import { checkFraming, pieces, readAll } from "../any-split.ts";

const word = fc.nat(0xffff_ffff);
const opaque = fc.uint8Array({ maxLength: 40 }).map((bytes) => {
  const padded = Buffer.alloc(8 + Math.ceil(bytes.length / 4) * 4);
  padded.writeUInt32BE(bytes.length, 4);
  padded.set(bytes, 8);
  return padded;
});
const body = fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes));
const call: fc.Arbitrary<RpcCall> = fc.record({
  xid: word,
  program: word,
  version: word,
  procedure: word,
  authentication: fc.tuple(opaque, opaque).map((both) => Buffer.concat(both)),
  args: body,
});
const reply: fc.Arbitrary<RpcReply> = fc.oneof(
  fc.record({
    kind: fc.constant("accepted" as const),
    xid: word,
    verifier: opaque,
    status: fc.nat(5),
    results: body,
  }),
  fc.record({ kind: fc.constant("denied" as const), xid: word, why: body }),
);
const asked: RpcCall = {
  xid: 7,
  program: 1,
  version: 1,
  procedure: 1,
  authentication: Buffer.alloc(16),
  args: Buffer.alloc(0),
};
const hostile = fc.oneof(
  fc.uint8Array({ maxLength: 16 }),
  fc.array(fc.constantFrom(0x80, 0, 0xff, 1, 8), { maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
);

t.test("any split, any bytes", async (t) => {
  checkFraming(t, {
    framing: oncRpcFraming({ recordBytesMax: 500 }),
    requests: call,
    replies: reply,
    asked,
    hostile,
  });
});

const read = (bytes: Buffer, lengths?: readonly number[]) => {
  const reader = oncRpcFraming({ recordBytesMax: 5000 }).requestReader();
  return readAll((buffer) => reader.read(buffer), bytes, lengths);
};
const encoded = (each: RpcCall) => Buffer.concat(oncRpcFraming().encodeRequest(each));

/** The same record in fragments of at most `size` bytes. */
function fragmented(record: Buffer, size: number): Buffer {
  const payload = record.subarray(4);
  const parts: Buffer[] = [];
  for (let start = 0; start < payload.length; start += size) {
    const part = payload.subarray(start, start + size);
    const mark = Buffer.alloc(4);
    mark.writeUInt32BE(part.length + (start + size >= payload.length ? 0x8000_0000 : 0));
    parts.push(mark, part);
  }
  return Buffer.concat(parts);
}

t.test("a record in any fragments is the same record", async (t) => {
  fc.assert(
    fc.property(
      fc.array(call, { minLength: 1, maxLength: 4 }),
      fc.integer({ min: 1, max: 30 }),
      pieces,
      (calls, size, cuts) => {
        const plain = read(Buffer.concat(calls.map(encoded)));
        const pieced = read(Buffer.concat(calls.map((each) => fragmented(encoded(each), size))), cuts);
        return JSON.stringify(plain) === JSON.stringify(pieced) && plain.messages.length === calls.length;
      },
    ),
    { numRuns: 200 },
  );
  t.pass();
});

t.test("golden bytes", async (t) => {
  t.equal(
    encoded({ ...asked, args: Buffer.from("abcd") }).toString("hex"),
    ["8000002c", "00000007", "00000000", "00000002", "00000001".repeat(3), "00".repeat(16), "61626364"].join(
      "",
    ),
  );
  t.equal(
    Buffer.concat(oncRpcFraming().encodeReply(rpcReply(7, 5), asked, false)).toString("hex"),
    ["80000018", "00000007", "00000001", "00000000", "00".repeat(8), "00000005"].join(""),
  );
});

t.test("caps and faults", async (t) => {
  t.equal(read(Buffer.from("7fffffff", "hex")).refused, "too-large");
  t.equal(
    read(Buffer.alloc(4 * (RPC_FRAGMENTS_MAX + 1))).refused,
    "too-large",
    "empty fragments without end",
  );
  t.equal(read(Buffer.from("80000000", "hex")).refused, "malformed");
  const overlong = encoded({
    ...asked,
    authentication: Buffer.from("00000000ffffffff0000000000000000", "hex"),
  });
  t.equal(read(overlong).refused, "malformed", "a credential longer than its record");
});

t.test("xids match replies; failures are said as system errors", async (t) => {
  const { answers, failure, isSuccess } = oncRpcFraming();
  t.ok(answers?.(rpcReply(7, 0), asked));
  t.notOk(answers?.(rpcReply(8, 0), asked));
  const failed = failure("late", "…", asked);
  t.match(failed, { xid: 7, status: 5 });
  t.notOk(isSuccess?.(failed as RpcReply, asked));
});
