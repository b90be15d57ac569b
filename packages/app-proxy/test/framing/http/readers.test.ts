/** Requests and replies out of bytes: whole, split anywhere, malformed, too large, smuggled. */
import * as fc from "fast-check";
import t from "tap";
import { PeekBuffer } from "../../../buffer/peek-buffer.ts";
import type { Frame } from "../../../framing/contract.ts";
import {
  HttpReplyReader,
  HttpRequestReader,
  type HttpReply,
  type HttpRequest,
} from "../../../framing/http/index.ts";

const LIMITS = { headBytesMax: 4096, bodyBytesMax: 10_000 };
const GET: HttpRequest = { method: "GET", target: "/", minor: 1, headers: [], body: Buffer.alloc(0) };

/** Reads all messages of a stream that arrives in these pieces. */
function readAll(pieces: readonly Uint8Array[]): (HttpRequest | string)[] {
  const buffer = new PeekBuffer();
  const reader = new HttpRequestReader(LIMITS);
  const found: (HttpRequest | string)[] = [];
  for (const piece of pieces) {
    buffer.append(piece);
    while (buffer.length > 0) {
      const frame = reader.read(buffer);
      if (frame.kind === "incomplete") break;
      if (frame.kind === "refused") return [...found, frame.status];
      if (frame.kind === "message") found.push(frame.message);
      buffer.discard(frame.bytes);
    }
  }
  return found;
}

function readOne(text: string): Frame<HttpRequest> {
  return new HttpRequestReader(LIMITS).read(new PeekBuffer(Buffer.from(text, "latin1")));
}

function readReply(text: string, ended = false, request = GET): Frame<HttpReply> {
  return new HttpReplyReader(LIMITS).read(new PeekBuffer(Buffer.from(text, "latin1")), request, ended);
}

const request = fc
  .record({
    method: fc.constantFrom("GET", "PUT", "POST", "DELETE"),
    target: fc.stringMatching(/^\/[a-z0-9/?=&%]{0,20}$/),
    body: fc.uint8Array({ maxLength: 200 }),
    chunks: fc.array(fc.integer({ min: 1, max: 50 }), { maxLength: 6 }),
    header: fc.stringMatching(/^[\x21-\x7e]([\x20-\x7e\xa0-\xff]{0,20}[\x21-\x7e])?$/),
    blanks: fc.nat(2),
  })
  .map((parts) => {
    const { method, target, body, chunks, header, blanks } = parts;
    const start = `${"\r\n".repeat(blanks)}${method} ${target} HTTP/1.1\r\nHost: h\r\nX-Test:  ${header} \r\n`;
    if (chunks.length === 0) {
      const length = body.length === 0 ? "" : `Content-Length: ${body.length}\r\n`;
      return { ...parts, bytes: Buffer.concat([Buffer.from(`${start}${length}\r\n`, "latin1"), body]) };
    }
    const pieces = [Buffer.from(`${start}Transfer-Encoding: chunked\r\n\r\n`, "latin1")];
    let rest = Buffer.from(body);
    for (const size of [...chunks, body.length]) {
      const chunk = rest.subarray(0, size);
      rest = rest.subarray(size);
      if (chunk.length > 0)
        pieces.push(Buffer.from(`${chunk.length.toString(16)};x=1\r\n`), chunk, Buffer.from("\r\n"));
    }
    pieces.push(Buffer.from("0\r\nTrailer: dropped\r\n\r\n"));
    return { ...parts, bytes: Buffer.concat(pieces) };
  });

t.test("any pipelined sequence, split anywhere, gives the same messages", async (t) => {
  const splits = fc.array(fc.nat(400), { maxLength: 20 });
  fc.assert(
    fc.property(fc.array(request, { minLength: 1, maxLength: 5 }), splits, (requests, cuts) => {
      const stream = Buffer.concat(requests.map(({ bytes }) => bytes));
      const places = [...new Set([0, ...cuts.filter((cut) => cut < stream.length), stream.length])];
      const sorted = places.toSorted((left, right) => left - right);
      const pieces = sorted.slice(1).map((end, index) => stream.subarray(sorted[index], end));
      const found = readAll(pieces);
      return (
        found.length === requests.length &&
        requests.every(({ method, target, body, header }, index) => {
          const message = found[index];
          return (
            typeof message === "object" &&
            message.method === method &&
            message.target === target &&
            Buffer.from(body).equals(message.body) &&
            message.headers.some(([name, value]) => name === "X-Test" && value === header)
          );
        })
      );
    }),
    { numRuns: 1000 },
  );
  t.pass();
});

t.test("byte by byte", async (t) => {
  const text =
    "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n";
  const found = readAll([...Buffer.from(text)].map((byte) => Buffer.from([byte])));
  t.match(found, [
    { method: "POST", target: "/a" },
    { method: "GET", target: "/b" },
  ]);
  t.equal(Buffer.from((found[0] as HttpRequest).body).toString(), "abc");
});

t.test("never throws, whatever the bytes", async (t) => {
  const piece = fc.constantFrom(
    "GET ",
    "/",
    " HTTP/1.1",
    "\r\n",
    "\n",
    "\r",
    "Host: h",
    ":",
    "Content-Length: 3",
    "Transfer-Encoding: chunked",
    "0",
    "ff",
    "\0",
    "\x80",
  );
  const noise = fc.array(fc.oneof(piece, fc.string({ unit: "binary-ascii", maxLength: 5 })), {
    maxLength: 30,
  });
  fc.assert(
    fc.property(noise, (pieces) => {
      readAll(pieces.map((text) => Buffer.from(text, "latin1")));
      readReply(pieces.join(""));
      readReply(`HTTP/1.1 200 OK\r\n${pieces.join("")}`, true);
    }),
    { numRuns: 3000 },
  );
  t.pass();
});

t.test("request smuggling and malformed heads are refused", async (t) => {
  const attacks: Record<string, string> = {
    "two lengths": "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "a list of lengths": "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3, 4\r\n\r\nabcd",
    "length and encoding":
      "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "unknown encoding": "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n",
    "encoding twice":
      "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n",
    "signed length": "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +3\r\n\r\nabc",
    "hexadecimal length": "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0x3\r\n\r\nabc",
    "empty length": "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: \r\n\r\nabc",
    "space before the colon": "POST / HTTP/1.1\r\nHost: h\r\nContent-Length : 3\r\n\r\nabc",
    "folded line": "POST / HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n",
    "line without a colon": "POST / HTTP/1.1\r\nHost: h\r\nContent-Length\r\n\r\n",
    "bare line feed": "GET / HTTP/1.1\nHost: h\r\nX: y\n\r\n\r\n",
    "bare carriage return": "GET / HTTP/1.1\r\nHost: h\r\nX: a\rb\r\n\r\n",
    "zero byte": "GET / HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n",
    "eighth bit over a line end": "GET / HTTP/1.1\r\nHost: h\r\nX: a\x8d\x8aEvil: 1\r\nBad\x00: 1\r\n\r\n",
    "no host": "GET / HTTP/1.1\r\n\r\n",
    "two hosts": "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "control character in the target": "GET /\x01 HTTP/1.1\r\nHost: h\r\n\r\n",
    "another protocol": "GET / HTTP/2.0\r\nHost: h\r\n\r\n",
    CONNECT: "CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n",
    "chunks in HTTP/1.0": "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunk size with a sign": "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
    "chunk size of nothing": "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
    "chunk longer than said":
      "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
    "bad trailer": "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nbad trailer\r\n\r\n",
  };
  for (const [name, text] of Object.entries(attacks))
    t.match(readOne(text), { kind: "refused", status: "malformed" }, name);
});

t.test("a high byte in a header stays what it is", async (t) => {
  const frame = readOne("GET / HTTP/1.1\r\nHost: h\r\nX: a\x8d\x8aEvil: 1\r\n\r\n");
  t.match(frame, { kind: "message" });
  t.same(frame.kind === "message" && frame.message.headers.at(-1), ["X", "a\x8d\x8aEvil: 1"]);
});

t.test("caps", async (t) => {
  const head = (bytes: number): string => `GET / HTTP/1.1\r\nHost: h\r\nX: ${"x".repeat(bytes)}`;
  t.match(readOne(head(4096)), { kind: "refused", status: "head-too-large" });
  t.match(readOne(`${head(4090)}\r\n\r\n`), { kind: "refused", status: "head-too-large" });
  t.match(readOne(head(1000)), { kind: "incomplete" });
  const sized = (bytes: number): string => `PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: ${bytes}\r\n\r\n`;
  t.match(readOne(sized(10_001)), { kind: "refused", status: "too-large" });
  t.match(readOne(sized(10_000)), { kind: "incomplete" });
  const chunked = "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
  t.match(readOne(`${chunked}fffffff\r\n`), { kind: "refused", status: "too-large" });
  t.match(readOne(`${chunked}1;${"x".repeat(2000)}`), { kind: "refused", status: "malformed" });
  t.match(readReply(`HTTP/1.1 200 OK\r\nContent-Length: 10001\r\n\r\n`), { kind: "refused" });
});

t.test("100-continue is answered once, when the body has not begun", async (t) => {
  const head = "PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";
  const reader = new HttpRequestReader(LIMITS);
  const buffer = new PeekBuffer(Buffer.from(head));
  const first = reader.read(buffer);
  t.equal(
    first.kind === "incomplete" && Buffer.from(first.answerNow ?? []).toString(),
    "HTTP/1.1 100 Continue\r\n\r\n",
  );
  t.same(reader.read(buffer), { kind: "incomplete" });
  buffer.append(Buffer.from("abc"));
  t.match(reader.read(buffer), { kind: "message" });
  t.match(readOne(`${head}a`), { kind: "incomplete" });
  t.notOk("answerNow" in readOne(`${head}a`));
});

t.test("replies: bodies by method, status, length, chunks and end of stream", async (t) => {
  const body = (frame: Frame<HttpReply>): string =>
    frame.kind === "message" ? Buffer.from(frame.message.body).toString() : frame.kind;
  t.equal(body(readReply("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabc")), "ab");
  t.equal(body(readReply("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n")), "ab");
  t.equal(body(readReply("HTTP/1.1 204 No\r\n\r\nabc")), "");
  t.equal(body(readReply("HTTP/1.1 304 No\r\nContent-Length: 9\r\n\r\n")), "");
  t.equal(
    body(readReply("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", false, { ...GET, method: "HEAD" })),
    "",
  );
  t.equal(body(readReply("HTTP/1.0 200 OK\r\n\r\nabc")), "incomplete");
  t.equal(body(readReply("HTTP/1.0 200 OK\r\n\r\nabc", true)), "abc");
  t.equal(body(readReply("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", true)), "incomplete");
  t.match(readReply("HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n"), { kind: "skip", bytes: 31 });
  t.match(readReply("HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n"), {
    kind: "refused",
    status: "unsupported",
  });
  t.match(readReply("SSH-2.0-x\r\n\r\n"), { kind: "refused" });
});
