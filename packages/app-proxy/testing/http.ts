/** Fake versions that speak HTTP, and a reader of what a client got. */
import { PeekBuffer } from "../buffer/peek-buffer.ts";
import { DEFAULT_HTTP_LIMITS } from "../framing/http/framing.ts";
import type { HttpReply, HttpRequest } from "../framing/http/message.ts";
import { HttpReplyReader, HttpRequestReader } from "../framing/http/readers.ts";
import type { FakeServer, ServerSide } from "./contract.ts";

export interface FakeReply {
  readonly status: number;
  readonly headers?: readonly (readonly [string, string])[];
  readonly body?: string;
}

/** Answers each request by `answer`, in order; "reset" breaks the connection instead, "hang" answers never. */
export function httpServer(
  side: ServerSide,
  answer: (request: HttpRequest, version: number) => FakeReply | "reset" | "hang",
): FakeServer {
  const input = new PeekBuffer();
  const reader = new HttpRequestReader(DEFAULT_HTTP_LIMITS);
  return {
    data(bytes) {
      input.append(bytes);
      for (;;) {
        const frame = reader.read(input);
        if (frame.kind === "refused") throw new Error(`a version got what is no request: ${frame.why}`);
        if (frame.kind === "incomplete") return;
        input.discard(frame.bytes);
        if (frame.kind === "skip") continue;
        const reply = answer(frame.message, side.version);
        if (reply === "hang") return;
        if (reply === "reset") return side.reset();
        side.send(encodeFakeReply(reply));
      }
    },
  };
}

export function encodeFakeReply({ status, headers = [], body = "" }: FakeReply): Buffer {
  const lines = [`HTTP/1.1 ${status} Fake`, ...headers.map(([name, value]) => `${name}: ${value}`)];
  return Buffer.from(
    [...lines, `Content-Length: ${Buffer.byteLength(body, "latin1")}`, "", body].join("\r\n"),
    "latin1",
  );
}

/** The replies in a client's stream, for the requests of these methods in order. Throws when it is no such stream. */
export function repliesIn(stream: Buffer, methods: readonly string[]): HttpReply[] {
  const input = new PeekBuffer(stream);
  const reader = new HttpReplyReader(DEFAULT_HTTP_LIMITS);
  const replies: HttpReply[] = [];
  while (input.length > 0) {
    const method = methods[replies.length];
    if (method === undefined)
      throw new Error(`more replies than requests: ${input.read().toString("latin1")}`);
    const frame = reader.read(
      input,
      { method, target: "/", minor: 1, headers: [], body: Buffer.alloc(0) },
      true,
    );
    if (frame.kind === "incomplete" || frame.kind === "refused")
      throw new Error(`no whole reply: ${frame.kind}`);
    input.discard(frame.bytes);
    if (frame.kind === "message") replies.push(frame.message);
  }
  return replies;
}
