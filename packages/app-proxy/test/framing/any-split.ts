/** What every framing must hold, whatever its protocol: splits change nothing, hostile bytes are refused with a code. */
import * as fc from "fast-check";
import type { Test } from "tap";
import { PeekBuffer, type Frame, type Framing } from "../../index.ts";

/** Lengths of the pieces that bytes come in, repeated without end. */
export const pieces: fc.Arbitrary<number[]> = fc.array(fc.integer({ min: 1, max: 40 }), {
  minLength: 1,
  maxLength: 8,
});

export interface Read<Message> {
  readonly messages: Message[];
  /** Why reading ended early. */
  readonly refused: string | undefined;
  /** Bytes left unconsumed. */
  readonly left: number;
}

/** Feeds a reader in pieces, as a connection does. */
export function readAll<Message>(
  read: (buffer: PeekBuffer) => Frame<Message>,
  bytes: Uint8Array,
  lengths: readonly number[] = [bytes.length + 1],
): Read<Message> {
  const buffer = new PeekBuffer();
  const messages: Message[] = [];
  let piece = 0;
  for (let start = 0; start < bytes.length; piece += 1) {
    const end = start + (lengths[piece % lengths.length] ?? 1);
    buffer.append(bytes.subarray(start, end));
    start = end;
    while (buffer.length > 0) {
      const before = buffer.length;
      const frame = read(buffer);
      if (frame.kind === "incomplete") break;
      if (frame.kind === "refused") return { messages, refused: frame.status, left: 0 };
      if (frame.bytes < 1 || frame.bytes > before) throw new Error(`a frame of ${frame.bytes} bytes`);
      if (frame.kind === "message") messages.push(frame.message);
      buffer.discard(frame.bytes);
    }
  }
  return { messages, refused: undefined, left: buffer.length };
}

interface Direction<Message> {
  readonly name: string;
  readonly messages: fc.Arbitrary<Message>;
  readonly reader: () => (buffer: PeekBuffer) => Frame<Message>;
  readonly encode: (message: Message) => readonly Uint8Array[];
}

export interface FramingSubject<Request, Reply> {
  readonly framing: Framing<Request, Reply>;
  readonly requests: fc.Arbitrary<Request>;
  readonly replies: fc.Arbitrary<Reply>;
  /** The request that all replies are read for. */
  readonly asked: Request;
  /** Bytes that make trouble likely. */
  readonly hostile: fc.Arbitrary<Uint8Array>;
}

export function checkFraming<Request, Reply>(t: Test, subject: FramingSubject<Request, Reply>): void {
  const { framing, asked, hostile } = subject;
  const requests: Direction<Request> = {
    name: "requests",
    messages: subject.requests,
    reader: () => {
      const reader = framing.requestReader();
      return (buffer) => reader.read(buffer);
    },
    encode: (request) => framing.encodeRequest(request),
  };
  const replies: Direction<Reply> = {
    name: "replies",
    messages: subject.replies,
    reader: () => {
      const reader = framing.replyReader();
      return (buffer) => reader.read(buffer, asked, false);
    },
    encode: (reply) => framing.encodeReply(reply, asked, false),
  };
  checkDirection(t, requests, hostile);
  checkDirection(t, replies, hostile);
}

function checkDirection<Message>(
  t: Test,
  { name, messages, reader, encode }: Direction<Message>,
  hostile: fc.Arbitrary<Uint8Array>,
): void {
  t.test(`${name}: whole, in order, however they are split`, async (t) => {
    fc.assert(
      fc.property(fc.array(messages, { maxLength: 12 }), pieces, (sent, lengths) => {
        const bytes = Buffer.concat(sent.flatMap(encode));
        const whole = readAll(reader(), bytes);
        const split = readAll(reader(), bytes, lengths);
        const want = JSON.stringify(sent, plain);
        if (whole.refused !== undefined || whole.left > 0) return false;
        return (
          JSON.stringify(whole.messages, plain) === want && JSON.stringify(split.messages, plain) === want
        );
      }),
      { numRuns: 300 },
    );
    t.pass();
  });
  t.test(`${name}: hostile bytes are refused with a code or awaited, the same in any split`, async (t) => {
    const mixed = fc.tuple(fc.array(messages, { maxLength: 3 }), hostile, fc.nat());
    fc.assert(
      fc.property(mixed, pieces, ([sent, bad, at], lengths) => {
        const good = Buffer.concat(sent.flatMap(encode));
        const cut = good.length === 0 ? 0 : at % good.length;
        const bytes = Buffer.concat([good.subarray(0, cut), bad, good.subarray(cut)]);
        return (
          JSON.stringify(readAll(reader(), bytes), plain) ===
          JSON.stringify(readAll(reader(), bytes, lengths), plain)
        );
      }),
      { numRuns: 500 },
    );
    t.pass();
  });
}

/** Buffers and other views of bytes alike. */
function plain(_key: string, value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString("latin1");
  const buffer = value as { readonly type?: unknown; readonly data?: unknown } | null;
  return buffer?.type === "Buffer" ? Buffer.from(buffer.data as number[]).toString("latin1") : value;
}
