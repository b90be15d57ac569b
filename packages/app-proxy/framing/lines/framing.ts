/** Messages that end with a delimiter: text lines, or several lines when the application says where a message ends. */
import type { PeekBuffer } from "../../buffer/peek-buffer.ts";
import { ProxyError } from "../../errors.ts";
import type { ApplicationWords, Frame, Framing } from "../contract.ts";

export interface LinesOptions extends ApplicationWords<string, string> {
  /** Ends every line. Default "\n"; a "\r" before it is then part of the line. */
  readonly delimiter?: string;
  /** `utf8` refuses bytes that are none; `latin1` takes every byte as one character. Default `utf8`. */
  readonly encoding?: "utf8" | "latin1";
  /** Of a message, all its lines and delimiters, bytes. Default 64 KiB. */
  readonly messageBytesMax?: number;
  /** Whether a request ends with this line, the `index`th of it. Default: every line is a request. */
  readonly requestEnds?: (line: string, index: number) => boolean;
  /** Whether the reply ends with this line. Default: every line is a reply. */
  readonly replyEnds?: (line: string, index: number, request: string) => boolean;
}

export const LINES_MESSAGE_BYTES_MAX = 64 * 1024;

/**
 * Messages are strings without the last delimiter. Without `failure` a request that no version answers ends its
 * client's connection.
 */
export function linesFraming(options: LinesOptions = {}): Framing<string, string> {
  const { delimiter, encoding, messageBytesMax, requestEnds, replyEnds, ...words } = options;
  const format: Format = {
    delimiter: Buffer.from(delimiter ?? "\n", encoding ?? "utf8"),
    encoding: encoding ?? "utf8",
    messageBytesMax: messageBytesMax ?? LINES_MESSAGE_BYTES_MAX,
  };
  if (format.delimiter.length === 0)
    throw new ProxyError("E_HANDLER", "The delimiter of lines must not be empty.");
  const ending = delimiter ?? "\n";
  return {
    failure: () => undefined,
    refusal: () => undefined,
    ...words,
    requestReader: () => {
      const reader = new LinesReader(format);
      return { read: (buffer) => reader.read(buffer, (line, index) => requestEnds?.(line, index) ?? true) };
    },
    replyReader: () => {
      const reader = new LinesReader(format);
      return {
        read: (buffer, request) =>
          reader.read(buffer, (line, index) => replyEnds?.(line, index, request) ?? true),
      };
    },
    sizeOf: (request) => request.length,
    lengthOf: (reply) => reply.length,
    encodeRequest: (request) => [encode(request, ending, format, requestEnds !== undefined)],
    encodeReply: (reply) => [encode(reply, ending, format, replyEnds !== undefined)],
  };
}

interface Format {
  readonly delimiter: Buffer;
  readonly encoding: "utf8" | "latin1";
  readonly messageBytesMax: number;
}

/** Goes on where it stopped, so that a message that comes byte by byte is looked at once. */
class LinesReader {
  readonly #format: Format;
  /** Where the current line begins, how far the delimiter was looked for, and the lines of the message so far. */
  #lineStart = 0;
  #searched = 0;
  #lines = 0;

  constructor(format: Format) {
    this.#format = format;
  }

  read(buffer: PeekBuffer, ends: (line: string, index: number) => boolean): Frame<string> {
    const { delimiter, messageBytesMax } = this.#format;
    for (;;) {
      const found = buffer.indexOf(delimiter, this.#searched);
      const lineEnd = found < 0 ? buffer.length : found;
      if (lineEnd + (found < 0 ? 0 : delimiter.length) > messageBytesMax) {
        return { kind: "refused", status: "too-large", why: `longer than ${messageBytesMax} bytes` };
      }
      if (found < 0) {
        this.#searched = Math.max(this.#lineStart, buffer.length - delimiter.length + 1);
        return { kind: "incomplete" };
      }
      const line = this.#decode(buffer.bytes(this.#lineStart, lineEnd));
      if (line === undefined) return { kind: "refused", status: "malformed", why: "it is not UTF-8" };
      const index = this.#lines;
      this.#lines += 1;
      this.#lineStart = this.#searched = lineEnd + delimiter.length;
      if (!ends(line, index)) continue;
      const message = index === 0 ? line : (this.#decode(buffer.bytes(0, lineEnd)) as string);
      const bytes = this.#lineStart;
      this.#lineStart = this.#searched = this.#lines = 0;
      return { kind: "message", bytes, message };
    }
  }

  #decode(bytes: Buffer): string | undefined {
    if (this.#format.encoding === "latin1") return bytes.toString("latin1");
    try {
      return UTF8.decode(bytes);
    } catch {
      return undefined;
    }
  }
}

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function encode(message: string, ending: string, { encoding }: Format, severalLines: boolean): Buffer {
  if (!severalLines && message.includes(ending)) {
    throw new ProxyError("E_HANDLER", "A message of one line has a delimiter in it; it would become two.");
  }
  return Buffer.from(message + ending, encoding);
}
