/** HTTP/1.1 as the policies see it. */
import type { Classified } from "../classified.ts";
import type { FailureKind, Framing, RefusedStatus } from "../contract.ts";
import { comparableHttp, describeHttp } from "./comparable.ts";
import {
  encodeReply,
  encodeRequest,
  headerOf,
  keepsAlive,
  type HttpReply,
  type HttpRequest,
} from "./message.ts";
import { HttpReplyReader, HttpRequestReader, type HttpLimits } from "./readers.ts";

export const DEFAULT_HTTP_LIMITS: HttpLimits = { headBytesMax: 64 * 1024, bodyBytesMax: 16 * 1024 * 1024 };

const REASONS: Readonly<Record<number, string>> = {
  400: "Bad Request",
  413: "Content Too Large",
  431: "Request Header Fields Too Large",
  500: "Internal Server Error",
  501: "Not Implemented",
  502: "Bad Gateway",
  503: "Service Unavailable",
  504: "Gateway Timeout",
};

const REFUSED: Readonly<Record<RefusedStatus, number>> = {
  malformed: 400,
  "head-too-large": 431,
  "too-large": 413,
  unsupported: 501,
};

/** Node's servers close connections after five quiet seconds; few close them earlier. */
const SERVER_IDLE_MS = 4_000;

/** What a head costs in memory, about. */
const HEAD_BYTES = 1024;

const FAILED: Readonly<Record<FailureKind, number>> = {
  unavailable: 503,
  broken: 502,
  late: 504,
  internal: 500,
};

export function httpFraming(limits: HttpLimits = DEFAULT_HTTP_LIMITS): Framing<HttpRequest, HttpReply> {
  return {
    requestReader: () => new HttpRequestReader(limits),
    replyReader: () => new HttpReplyReader(limits),
    sizeOf: (request) => HEAD_BYTES + request.body.length,
    encodeRequest,
    encodeReply,
    failure: (kind, detail) => plainReply(FAILED[kind], detail),
    refusal: (status, why) => plainReply(REFUSED[status], why),
    isLastRequest: (request) => !keepsAlive(request),
    isLastReply: (reply) => reply.untilClose || !keepsAlive(reply),
    classify: classifyHttp,
    isSuccess: isHttpSuccess,
    isFault: (reply) => reply.status >= 500,
    lengthOf: (reply) => reply.body.length,
    comparable: comparableHttp,
    describe: describeHttp,
    idleHintMs,
    serverIdleMs: SERVER_IDLE_MS,
  };
}

const SAFE_METHODS: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS", "TRACE"]);

/** Safe methods (RFC 9110 §9.2.1) are reads; the key is the path without the query. */
export function classifyHttp(request: HttpRequest): Classified {
  const key = request.target.split("?", 1)[0] as string;
  return { kind: SAFE_METHODS.has(request.method) ? "read" : "write", key };
}

export function isHttpSuccess(reply: HttpReply): boolean {
  return reply.status < 400;
}

/** A reply of the proxy itself: one line of text. */
export function plainReply(status: number, text: string): HttpReply {
  return {
    status,
    reason: REASONS[status] ?? "",
    minor: 1,
    headers: [["Content-Type", "text/plain; charset=utf-8"]],
    body: Buffer.from(`${text}\n`),
    untilClose: false,
  };
}

/** `Keep-Alive: timeout=5` */
function idleHintMs(reply: HttpReply): number | undefined {
  const seconds = /(?:^|[,\s])timeout=(\d{1,6})(?:$|[,\s])/i.exec(headerOf(reply, "keep-alive") ?? "")?.[1];
  return seconds === undefined ? undefined : Number(seconds) * 1000;
}
