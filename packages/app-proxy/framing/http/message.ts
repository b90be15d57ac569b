/** HTTP/1.1 messages as values, and their bytes (RFC 9112). Bodies are whole and decoded. */

/** Name and value in the order and spelling of the sender; values are latin1 strings, one character per byte. */
export type HttpHeader = readonly [name: string, value: string];

export interface HttpRequest {
  readonly method: string;
  readonly target: string;
  /** Minor version: HTTP/1.0 or HTTP/1.1. */
  readonly minor: 0 | 1;
  readonly headers: readonly HttpHeader[];
  /** Without transfer encoding; trailers are dropped. */
  readonly body: Uint8Array;
}

export interface HttpReply {
  readonly status: number;
  readonly reason: string;
  readonly minor: 0 | 1;
  readonly headers: readonly HttpHeader[];
  readonly body: Uint8Array;
  /** The body ended with the server's connection. */
  readonly untilClose: boolean;
}

/** All values of a header, in order, joined by commas (RFC 9110 §5.2); undefined when it is absent. */
export function headerOf(
  message: { readonly headers: readonly HttpHeader[] },
  name: string,
): string | undefined {
  let value: string | undefined;
  for (const [candidate, text] of message.headers) {
    if (candidate.length !== name.length || candidate.toLowerCase() !== name) continue;
    value = value === undefined ? text : `${value}, ${text}`;
  }
  return value;
}

/** The members of a comma-separated header, in lower case. */
export function tokensOf(value: string | undefined): readonly string[] {
  if (value === undefined) return [];
  return value
    .toLowerCase()
    .split(",")
    .map((token) => token.trim())
    .filter((token) => token !== "");
}

/** Whether the sender keeps its connection after this message (RFC 9112 §9.3). */
export function keepsAlive(message: {
  readonly minor: 0 | 1;
  readonly headers: readonly HttpHeader[];
}): boolean {
  const connection = tokensOf(headerOf(message, "connection"));
  if (connection.includes("close")) return false;
  return message.minor === 1 || connection.includes("keep-alive");
}

/** Headers that concern one connection only (RFC 9110 §7.6.1); framing headers are written anew with the body. */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "content-length",
]);

/** The request with a plain, unambiguous framing: Content-Length or no body at all. */
export function encodeRequest(request: HttpRequest): readonly Uint8Array[] {
  let head = `${request.method} ${request.target} HTTP/1.${request.minor}\r\n`;
  head += endToEndHeaders(request.headers, "expect");
  const hasBody = request.body.length > 0 || expectsBody(request.method);
  if (hasBody) head += `Content-Length: ${request.body.length}\r\n`;
  if (request.minor === 0) head += "Connection: keep-alive\r\n";
  return withBody(`${head}\r\n`, request.body);
}

/** The reply as the client gets it: framed by Content-Length, the connection's fate said as RFC 9112 §9.3 wants it. */
export function encodeReply(
  reply: HttpReply,
  request: HttpRequest | undefined,
  last: boolean,
): readonly Uint8Array[] {
  let head = `HTTP/1.1 ${reply.status} ${reply.reason}\r\n`;
  head += endToEndHeaders(reply.headers, "");
  if (request?.method === "HEAD" || reply.status === 304) head += declaredFraming(reply.headers);
  else if (reply.status !== 204) head += `Content-Length: ${reply.body.length}\r\n`;
  if (last) head += "Connection: close\r\n";
  else if (request?.minor === 0) head += "Connection: keep-alive\r\n";
  return withBody(`${head}\r\n`, reply.body);
}

function endToEndHeaders(headers: readonly HttpHeader[], alsoNot: string): string {
  const named = tokensOf(headerOf({ headers }, "connection"));
  let text = "";
  for (const [name, value] of headers) {
    const lower = name.toLowerCase();
    if (HOP_BY_HOP.has(lower) || lower === alsoNot || named.includes(lower)) continue;
    text += `${name}: ${value}\r\n`;
  }
  return text;
}

/** A reply without a body still says how long the body would have been. */
function declaredFraming(headers: readonly HttpHeader[]): string {
  const length = headerOf({ headers }, "content-length");
  return length === undefined ? "" : `Content-Length: ${tokensOf(length)[0] ?? "0"}\r\n`;
}

/** Methods for which a request without a body says so by `Content-Length: 0` (RFC 9110 §8.6). */
function expectsBody(method: string): boolean {
  return method === "POST" || method === "PUT" || method === "PATCH";
}

/** Bodies up to this size are copied behind their head: cheaper than a second piece to write. */
const COPIED_BODY_BYTES_MAX = 16 * 1024;

function withBody(head: string, body: Uint8Array): readonly Uint8Array[] {
  if (body.length > COPIED_BODY_BYTES_MAX) return [Buffer.from(head, "latin1"), body];
  const bytes = Buffer.allocUnsafe(head.length + body.length);
  bytes.write(head, 0, "latin1");
  bytes.set(body, head.length);
  return [bytes];
}
