/** Whole RESP messages out of a peekable buffer. Requests are taken apart, replies stay the bytes that they are. */
import type { PeekBuffer } from "../../buffer/peek-buffer.ts";
import type { Frame, ReplyReader, RequestReader } from "../contract.ts";
import { RespScan, type RespLimits } from "./scan.ts";

export interface RespRequest {
  /** The command, upper case. */
  readonly name: string;
  /** All words, the command's first. */
  readonly words: readonly Buffer[];
}

const ARRAY = 0x2a;
const BULK = 0x24;
const PUSH = 0x3e;
const LF = Buffer.from("\n");
const INLINE_BYTES_MAX = 64 * 1024;

export class RespRequestReader implements RequestReader<RespRequest> {
  readonly #limits: RespLimits;
  #scan: RespScan;
  #searched = 0;

  constructor(limits: RespLimits) {
    this.#limits = limits;
    this.#scan = new RespScan(limits);
  }

  read(buffer: PeekBuffer): Frame<RespRequest> {
    if (buffer.length === 0) return { kind: "incomplete" };
    if (buffer.bytes(0, 1)[0] !== ARRAY) return this.#readInline(buffer);
    const scanned = this.#scan.advance(buffer);
    if (scanned.kind !== "complete") return scanned;
    this.#scan = new RespScan(this.#limits);
    const words = wordsOf(buffer.bytes(0, scanned.end));
    if (words === undefined) {
      return { kind: "refused", status: "malformed", why: "a command is not an array of bulk strings" };
    }
    if (words.length === 0) return { kind: "skip", bytes: scanned.end };
    return { kind: "message", bytes: scanned.end, message: respRequest(...words) };
  }

  /** A line of words, as people type it. */
  #readInline(buffer: PeekBuffer): Frame<RespRequest> {
    const found = buffer.indexOf(LF, this.#searched);
    const end = found < 0 ? buffer.length : found + 1;
    if (end > INLINE_BYTES_MAX) return { kind: "refused", status: "too-large", why: "the line is too long" };
    this.#searched = found < 0 ? end : 0;
    if (found < 0) return { kind: "incomplete" };
    const line = buffer.bytes(0, found).toString("latin1");
    if (/["']/.test(line))
      return { kind: "refused", status: "unsupported", why: "quotes in an inline command" };
    const words = line.split(/[ \t\r]+/).filter((word) => word !== "");
    if (words.length === 0) return { kind: "skip", bytes: end };
    const message = respRequest(...words.map((word) => Buffer.from(word, "latin1")));
    return { kind: "message", bytes: end, message };
  }
}

export class RespReplyReader implements ReplyReader<RespRequest, Uint8Array> {
  readonly #limits: RespLimits;
  #scan: RespScan;

  constructor(limits: RespLimits) {
    this.#limits = limits;
    this.#scan = new RespScan(limits);
  }

  read(buffer: PeekBuffer): Frame<Uint8Array> {
    const scanned = this.#scan.advance(buffer);
    if (scanned.kind !== "complete") return scanned;
    this.#scan = new RespScan(this.#limits);
    const { end } = scanned;
    // A push answers no request, and there is no telling to which version's news the client should listen.
    if (buffer.bytes(0, 1)[0] === PUSH) return { kind: "skip", bytes: end };
    return { kind: "message", bytes: end, message: buffer.bytes(0, end) };
  }
}

/** A command out of its words: `respRequest("SET", "key", value)`. */
export function respRequest(...words: readonly (string | Uint8Array)[]): RespRequest {
  const buffers = words.map((word) => Buffer.from(word as Uint8Array));
  return { name: (buffers[0] ?? Buffer.alloc(0)).toString("latin1").toUpperCase(), words: buffers };
}

/** Of a whole, well-formed array; undefined when a member is anything but a bulk string. */
function wordsOf(bytes: Buffer): Buffer[] | undefined {
  const words: Buffer[] = [];
  for (let position = bytes.indexOf(LF) + 1; position < bytes.length;) {
    if (bytes[position] !== BULK) return undefined;
    const lineEnd = bytes.indexOf(LF, position) + 1;
    const length = Number(bytes.toString("latin1", position + 1, lineEnd - 2));
    if (length < 0) return undefined;
    words.push(bytes.subarray(lineEnd, lineEnd + length));
    position = lineEnd + length + 2;
  }
  return words;
}
