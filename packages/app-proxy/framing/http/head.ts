/**
 * The head of an HTTP/1.1 message: start line, headers, and how the body is framed.
 *
 * http-parser-js takes the lines apart. It is lenient by itself: it skips header lines that it does not understand,
 * takes any number for a length, and masks the eighth bit. A proxy that is lenient lets a client smuggle requests past
 * whoever reads the same bytes differently (RFC 9112 §11.2), so every line is held to the grammar here.
 */
import { HTTPParser } from "http-parser-js";
import type { HttpHeader } from "./message.ts";
import { headerOf, tokensOf } from "./message.ts";

export type BodyFraming =
  | { readonly kind: "none" }
  | { readonly kind: "sized"; readonly bytes: number }
  | { readonly kind: "chunked" }
  /** Until the connection ends; replies only. */
  | { readonly kind: "until-close" };

export interface RequestHead {
  readonly method: string;
  readonly target: string;
  readonly minor: 0 | 1;
  readonly headers: readonly HttpHeader[];
  readonly body: BodyFraming;
}

export interface ReplyHead {
  readonly status: number;
  readonly reason: string;
  readonly minor: 0 | 1;
  readonly headers: readonly HttpHeader[];
  readonly body: BodyFraming;
}

/** A head that breaks the grammar, or asks for what is not supported. */
export class HeadError extends Error {}

// One character per byte; the default would turn 0x8d 0x8a into a line end.
HTTPParser.encoding = "latin1";

/** RFC 9110 §5.6.2 token, and §5.5 field value: no control characters but the tab. */
const HEADER_LINE = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*$/;
const TARGET = /^[\x21-\x7e\x80-\xff]+$/;
const DECIMAL = /^[0-9]{1,15}$/;

type Info = Parameters<NonNullable<HTTPParserInstance[typeof HTTPParser.kOnHeadersComplete]>>[0];
type HTTPParserInstance = InstanceType<typeof HTTPParser>;

/** Parses exactly one head, from the first byte of the start line to the empty line's end. */
export function parseRequestHead(bytes: Buffer): RequestHead {
  const info = parse("REQUEST", bytes);
  const method = HTTPParser.methods[info.method];
  if (method === undefined || method === "CONNECT") throw new HeadError("the method is not supported");
  if (!TARGET.test(info.url)) throw new HeadError("the request target has forbidden characters");
  const headers = pairs(info.headers);
  const minor = minorOf(info);
  if (minor === 1 && headers.filter(([name]) => name.toLowerCase() === "host").length !== 1) {
    throw new HeadError("there must be exactly one Host header");
  }
  const framing = declaredFraming(headers);
  if (framing?.kind === "chunked" && minor === 0) throw new HeadError("HTTP/1.0 has no chunked bodies");
  return { method, target: info.url, minor, headers, body: framing ?? { kind: "none" } };
}

/** As above for a reply. `method`: of the request that it answers, because it decides whether there is a body. */
export function parseReplyHead(bytes: Buffer, method: string): ReplyHead {
  const info = parse("RESPONSE", bytes);
  const headers = pairs(info.headers);
  const status = info.statusCode;
  const bodiless = method === "HEAD" || status < 200 || status === 204 || status === 304;
  const framing = bodiless
    ? ({ kind: "none" } as const)
    : (declaredFraming(headers) ?? { kind: "until-close" });
  return { status, reason: info.statusMessage, minor: minorOf(info), headers, body: framing };
}

function parse(type: "REQUEST" | "RESPONSE", bytes: Buffer): Info {
  const parser = new HTTPParser(type);
  let found: Info | undefined;
  parser.maxHeaderSize = bytes.length;
  parser.parseHeader = (line, headers) => {
    if (!HEADER_LINE.test(line)) throw new HeadError("a header line is malformed");
    const colon = line.indexOf(":");
    headers.push(line.slice(0, colon), withoutBlanks(line, colon + 1));
  };
  // 2: there is no body for this parser; it stops behind the head.
  parser[HTTPParser.kOnHeadersComplete] = (info) => {
    found = info;
    return 2;
  };
  const consumed = parser.execute(bytes);
  if (consumed instanceof HeadError) throw consumed;
  if (typeof consumed !== "number" || consumed !== bytes.length || found === undefined) {
    throw new HeadError("the start line or the head's end is malformed");
  }
  return found;
}

/** Without spaces and tabs around it; `trim` would take characters that belong to a latin1 value. */
function withoutBlanks(line: string, from: number): string {
  let start = from;
  let end = line.length;
  while (start < end && isBlank(line.charCodeAt(start))) start += 1;
  while (end > start && isBlank(line.charCodeAt(end - 1))) end -= 1;
  return line.slice(start, end);
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

function minorOf(info: Info): 0 | 1 {
  if (info.versionMajor !== 1 || info.versionMinor > 1)
    throw new HeadError("only HTTP/1.0 and HTTP/1.1 are spoken");
  return info.versionMinor === 1 ? 1 : 0;
}

function pairs(flat: readonly string[]): readonly HttpHeader[] {
  const headers: HttpHeader[] = [];
  for (let index = 0; index + 1 < flat.length; index += 2) {
    headers.push([flat[index] as string, flat[index + 1] as string]);
  }
  return headers;
}

/** RFC 9112 §6.3, without its lenient alternatives: both headers, or lengths that differ, are refused. */
function declaredFraming(headers: readonly HttpHeader[]): BodyFraming | undefined {
  const encoding = headerOf({ headers }, "transfer-encoding");
  const length = headerOf({ headers }, "content-length");
  if (encoding !== undefined && length !== undefined)
    throw new HeadError("both Transfer-Encoding and Content-Length");
  if (encoding !== undefined) {
    if (encoding.trim().toLowerCase() !== "chunked")
      throw new HeadError("only the transfer encoding chunked is known");
    return { kind: "chunked" };
  }
  if (length === undefined) return undefined;
  const values = new Set(tokensOf(length));
  const [value] = values;
  if (values.size !== 1 || value === undefined || !DECIMAL.test(value)) {
    throw new HeadError("Content-Length is not one decimal number");
  }
  return { kind: "sized", bytes: Number(value) };
}
