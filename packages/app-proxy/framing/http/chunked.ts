/** Chunked bodies (RFC 9112 §7.1), read strictly and incrementally from a buffer that keeps its bytes. */
import type { PeekBuffer } from "../../buffer/peek-buffer.ts";

const CRLF = Buffer.from("\r\n");
/** Size in hex, then extensions, which are ignored. Eight digits are more than any cap. */
const SIZE_LINE = /^([0-9A-Fa-f]{1,8})[\t ]*(;[\t\x20-\x7e\x80-\xff]*)?$/;
const TRAILER_LINE = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*$/;
/** Longest size line with its extensions, and longest trailer section, bytes. */
const LINE_BYTES_MAX = 1024;
const TRAILER_BYTES_MAX = 8192;

export type ChunkedProgress = "incomplete" | "complete" | "malformed" | "too-large";

export class ChunkedBody {
  readonly #bytesMax: number;
  #parts: Buffer[] = [];
  #bodyBytes = 0;
  /** Where the next undecoded byte lies in the buffer. */
  #position: number;
  #trailerStart = -1;

  /** `start`: where the body begins in the buffer. `bytesMax`: cap of the decoded body. */
  constructor(start: number, bytesMax: number) {
    this.#position = start;
    this.#bytesMax = bytesMax;
  }

  /** Behind the last decoded byte; behind the message once complete. */
  get end(): number {
    return this.#position;
  }

  body(): Buffer {
    return this.#parts.length === 1
      ? (this.#parts[0] as Buffer)
      : Buffer.concat(this.#parts, this.#bodyBytes);
  }

  /** Goes on where the last call stopped. The buffer must begin with the same bytes as then. */
  advance(buffer: PeekBuffer): ChunkedProgress {
    for (;;) {
      if (this.#trailerStart >= 0) return this.#trailer(buffer);
      const line = lineAt(buffer, this.#position, LINE_BYTES_MAX);
      if (typeof line !== "string") return line.progress;
      const match = SIZE_LINE.exec(line);
      if (match === null) return "malformed";
      const size = Number.parseInt(match[1] as string, 16);
      const start = this.#position + line.length + CRLF.length;
      if (size === 0) {
        this.#position = this.#trailerStart = start;
        continue;
      }
      if (this.#bodyBytes + size > this.#bytesMax) return "too-large";
      if (buffer.length < start + size + CRLF.length) return "incomplete";
      if (!buffer.bytes(start + size, start + size + CRLF.length).equals(CRLF)) return "malformed";
      this.#parts.push(buffer.bytes(start, start + size));
      this.#bodyBytes += size;
      this.#position = start + size + CRLF.length;
    }
  }

  #trailer(buffer: PeekBuffer): ChunkedProgress {
    for (;;) {
      const room = TRAILER_BYTES_MAX - (this.#position - this.#trailerStart);
      const line = lineAt(buffer, this.#position, room);
      if (typeof line !== "string") return line.progress;
      this.#position += line.length + CRLF.length;
      if (line === "") return "complete";
      if (!TRAILER_LINE.test(line)) return "malformed";
    }
  }
}

function lineAt(
  buffer: PeekBuffer,
  start: number,
  bytesMax: number,
): string | { readonly progress: "incomplete" | "malformed" } {
  const view = buffer.bytes(start, Math.min(buffer.length, start + bytesMax + CRLF.length));
  const end = view.indexOf(CRLF);
  if (end < 0) return { progress: view.length >= bytesMax + CRLF.length ? "malformed" : "incomplete" };
  return view.toString("latin1", 0, end);
}
