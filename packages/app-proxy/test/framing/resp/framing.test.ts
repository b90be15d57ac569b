import * as fc from "fast-check";
import t from "tap";
import {
  respDecode,
  respEncode,
  RespError,
  respFraming,
  respRequest,
  type RespRequest,
  type RespValue,
} from "../../../framing/resp/index.ts";
import { checkFraming, readAll } from "../any-split.ts";

const word = fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes));
const request = fc
  .tuple(fc.constantFrom("GET", "SET", "lpush"), fc.array(word, { maxLength: 4 }))
  .map(([name, words]) => respRequest(name, ...words));
const text = fc.stringMatching(/^[ -~é]{0,12}$/);
const { value } = fc.letrec<{ value: RespValue }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    text,
    word,
    fc.integer(),
    fc.bigInt({ min: 2n ** 60n, max: 2n ** 62n }),
    fc.double({ noInteger: true, noDefaultInfinity: false }),
    fc.boolean(),
    fc.constant(null),
    text.map((each) => new RespError(`ERR ${each}`)),
    fc.array(tie("value"), { maxLength: 4 }),
    fc.array(fc.tuple(text, tie("value")), { maxLength: 3 }).map((pairs) => new Map(pairs)),
    fc.uniqueArray(text, { maxLength: 3 }).map((members) => new Set(members)),
  ),
}));
const reply = value.map((each) => respEncode(each));
const hostile = fc.oneof(
  fc.uint8Array({ maxLength: 12 }),
  fc
    .string({
      unit: fc.constantFrom(..."*$:+-_#,(!=~>%|?019\r\n".split(""), "\r\n", "$1\r\n"),
      maxLength: 40,
    })
    .map((bytes) => Buffer.from(bytes)),
);

t.test("any split, any bytes", async (t) => {
  const framing = respFraming({ messageBytesMax: 4000, depthMax: 6 });
  checkFraming(t, { framing, requests: request, replies: reply, asked: respRequest("PING"), hostile });
});

t.test("values survive", async (t) => {
  fc.assert(
    fc.property(value, (each) => respEncode(respDecode(respEncode(each))).equals(respEncode(each))),
    { numRuns: 500 },
  );
  t.same(respDecode(Buffer.from("|1\r\n+ttl\r\n:3\r\n=7\r\ntxt:abc\r\n")), Buffer.from("abc"));
  t.same(respDecode(Buffer.from("!5\r\nERR x\r\n")), new RespError("ERR x"));
  t.equal(respDecode(Buffer.from(",-inf\r\n")), -Infinity);
});

const readRequests = (bytes: string | Buffer, limits = {}) => {
  const reader = respFraming(limits).requestReader();
  return readAll<RespRequest>((buffer) => reader.read(buffer), Buffer.from(bytes as string));
};
const readReplies = (bytes: string, limits = {}) => {
  const reader = respFraming(limits).replyReader();
  return readAll((buffer) => reader.read(buffer, respRequest("PING"), false), Buffer.from(bytes, "latin1"));
};

t.test("requests", async (t) => {
  const names = ({ messages }: ReturnType<typeof readRequests>) =>
    messages.map(({ words }) => words.map(String).join(" "));
  t.same(names(readRequests("*2\r\n$3\r\nget\r\n$1\r\nk\r\nPING\r\n  set a  b \n\r\n*0\r\n")), [
    "get k",
    "PING",
    "set a b",
  ]);
  t.equal(readRequests("*1\r\n:5\r\n").refused, "malformed");
  t.equal(readRequests("*1\r\n$-1\r\n").refused, "malformed");
  t.equal(readRequests("*1\r\n*1\r\n$1\r\na\r\n").refused, "malformed");
  t.equal(readRequests('set a "b c"\r\n').refused, "unsupported");
  t.equal(readRequests("x".repeat(70_000)).refused, "too-large");
});

t.test("caps and faults of replies", async (t) => {
  const cases: [string, string | undefined][] = [
    ["$99999999\r\n", "too-large"],
    ["*99999999\r\n", undefined],
    ["*1\r\n".repeat(33), "too-large"],
    ["$-2\r\n", "malformed"],
    ["$3\r\nabcd\r\n", "malformed"],
    ["+a\n", "malformed"],
    [":1x\r\n", "malformed"],
    ["%-1\r\n", "malformed"],
    ["*?\r\n", "unsupported"],
    ["HTTP/1.1 200 OK\r\n", "malformed"],
    [`+${"x".repeat(70_000)}`, "too-large"],
  ];
  for (const [bytes, status] of cases) t.equal(readReplies(bytes).refused, status, bytes.slice(0, 20));
  t.same(
    readReplies(">2\r\n+invalidate\r\n*1\r\n+k\r\n+OK\r\n|1\r\n+a\r\n+b\r\n:1\r\n").messages.map(String),
    ["+OK\r\n", "|1\r\n+a\r\n+b\r\n:1\r\n"],
    "a push is passed over, an attribute belongs to its value",
  );
});

t.test("many small values in many pieces take linear time", async (t) => {
  const count = 100_000;
  const bytes = `*${count}\r\n${":1\r\n".repeat(count)}`;
  const reader = respFraming().replyReader();
  const startedMs = performance.now();
  const { messages } = readAll(
    (buffer) => reader.read(buffer, respRequest("PING"), false),
    Buffer.from(bytes),
    [100],
  );
  t.equal(messages.length, 1);
  t.ok(performance.now() - startedMs < 10_000);
});

t.test("what commands are", async (t) => {
  const { classify, ownReply } = respFraming();
  const of = (...words: string[]) => classify?.(respRequest(...words));
  t.same(of("get", "k"), { kind: "read" });
  t.same(of("SET", "k", "v"), { kind: "write", key: "k" });
  t.same(of("MSET", "a", "1", "b", "2"), { kind: "write", key: ["a", "b"] });
  t.same(of("DEL", "a", "b"), { kind: "write", key: ["a", "b"] });
  t.same(of("RENAME", "a", "b"), { kind: "write", key: ["a", "b"] });
  t.equal(typeof of("EVAL", "return 1")?.key, "symbol");
  t.same(of("SELECT", "1"), { kind: "session", key: "SELECT" });
  t.same(of("CLIENT", "SETNAME", "x"), { kind: "session", key: "SETNAME" });
  t.same(of("CLIENT", "LIST"), { kind: "read" });
  t.match(String(ownReply?.(respRequest("MULTI"))), /^-ERR MULTI cannot/);
  t.match(String(ownReply?.(respRequest("CLIENT", "TRACKING", "ON"))), /^-ERR CLIENT TRACKING/);
  t.equal(ownReply?.(respRequest("GET", "MULTI")), undefined);
});

t.test("errors, and replies of who has nothing", async (t) => {
  const { isFound, isSuccess } = respFraming();
  for (const empty of ["$-1", "*-1", "_", "*0", ":0", ":-2", "+none"]) {
    const bytes = Buffer.from(`${empty}\r\n`);
    t.ok(isSuccess?.(bytes, respRequest("GET")));
    t.notOk(isFound?.(bytes, respRequest("GET")), empty);
  }
  t.notOk(isSuccess?.(Buffer.from("-ERR x\r\n"), respRequest("GET")));
  t.ok(isFound?.(Buffer.from("$1\r\n0\r\n"), respRequest("GET")));
});
