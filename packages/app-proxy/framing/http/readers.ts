/** Whole HTTP/1.1 messages out of a peekable buffer. The head is searched for, a sized body is only counted. */
import type { PeekBuffer } from "../../buffer/peek-buffer.ts";
import type { Frame, RefusedStatus, ReplyReader, RequestReader } from "../contract.ts";
import { ChunkedBody } from "./chunked.ts";
import {
  HeadError,
  parseReplyHead,
  parseRequestHead,
  type BodyFraming,
  type ReplyHead,
  type RequestHead,
} from "./head.ts";
import { headerOf, tokensOf, type HttpReply, type HttpRequest } from "./message.ts";

export interface HttpLimits {
  /** Start line and headers, bytes. Default 64 KiB. */
  readonly headBytesMax: number;
  /** Decoded body, bytes. Default 16 MiB. A body is held whole, once per version while the replies are gathered. */
  readonly bodyBytesMax: number;
}

const HEAD_END = Buffer.from("\r\n\r\n");
const CONTINUE = Buffer.from("HTTP/1.1 100 Continue\r\n\r\n");
const CR = 0x0d;
const LF = 0x0a;

/** What is known of an incomplete message, kept from one call to the next. */
interface Progress<Head> {
  readonly head: Head;
  readonly headEnd: number;
  readonly chunked: ChunkedBody | undefined;
}

type Body = { readonly end: number; readonly bytes: Uint8Array } | "incomplete" | RefusedStatus;

export class HttpRequestReader implements RequestReader<HttpRequest> {
  readonly #limits: HttpLimits;
  #searched = 0;
  #progress: Progress<RequestHead> | undefined;
  #continued = false;

  constructor(limits: HttpLimits) {
    this.#limits = limits;
  }

  read(buffer: PeekBuffer): Frame<HttpRequest> {
    if (this.#progress === undefined) {
      const blank = blankLines(buffer);
      if (blank > 0) {
        this.#searched = 0;
        return { kind: "skip", bytes: blank };
      }
      const headEnd = findHeadEnd(buffer, this.#searched, this.#limits.headBytesMax);
      if (headEnd === "too-large") return refused("head-too-large", "the head is too large");
      if (headEnd === "incomplete") {
        this.#searched = buffer.length;
        return { kind: "incomplete" };
      }
      try {
        const head = parseRequestHead(buffer.bytes(0, headEnd));
        this.#progress = { head, headEnd, chunked: chunkedOf(head.body, headEnd, this.#limits) };
      } catch (error) {
        return refusedBy(error);
      }
    }
    return this.#readBody(buffer, this.#progress);
  }

  #readBody(buffer: PeekBuffer, progress: Progress<RequestHead>): Frame<HttpRequest> {
    const { head, headEnd } = progress;
    const body = readBody(buffer, head.body, progress, this.#limits, false);
    if (body === "incomplete") return this.#continue(head, buffer.length === headEnd);
    if (typeof body === "string") return refused(body, "the body is malformed or too large");
    this.#searched = 0;
    this.#progress = undefined;
    this.#continued = false;
    const { method, target, minor, headers } = head;
    return {
      kind: "message",
      bytes: body.end,
      message: { method, target, minor, headers, body: body.bytes },
    };
  }

  /** RFC 9110 §10.1.1: the client waits for a word before it sends the body. */
  #continue(head: RequestHead, bodyNotBegun: boolean): Frame<HttpRequest> {
    if (this.#continued || head.minor === 0 || !bodyNotBegun) return { kind: "incomplete" };
    if (!tokensOf(headerOf(head, "expect")).includes("100-continue")) return { kind: "incomplete" };
    this.#continued = true;
    return { kind: "incomplete", answerNow: CONTINUE };
  }
}

export class HttpReplyReader implements ReplyReader<HttpRequest, HttpReply> {
  readonly #limits: HttpLimits;
  #searched = 0;
  #progress: Progress<ReplyHead> | undefined;

  constructor(limits: HttpLimits) {
    this.#limits = limits;
  }

  read(buffer: PeekBuffer, request: HttpRequest, ended: boolean): Frame<HttpReply> {
    if (this.#progress === undefined) {
      const headEnd = findHeadEnd(buffer, this.#searched, this.#limits.headBytesMax);
      if (headEnd === "too-large") return refused("head-too-large", "the reply's head is too large");
      if (headEnd === "incomplete") {
        this.#searched = buffer.length;
        return { kind: "incomplete" };
      }
      try {
        const head = parseReplyHead(buffer.bytes(0, headEnd), request.method);
        this.#searched = 0;
        if (head.status === 101) return refused("unsupported", "the server changed the protocol");
        if (head.status < 200) return { kind: "skip", bytes: headEnd };
        this.#progress = { head, headEnd, chunked: chunkedOf(head.body, headEnd, this.#limits) };
      } catch (error) {
        return refusedBy(error);
      }
    }
    return this.#readBody(buffer, this.#progress, ended);
  }

  #readBody(buffer: PeekBuffer, progress: Progress<ReplyHead>, ended: boolean): Frame<HttpReply> {
    const { head } = progress;
    const body = readBody(buffer, head.body, progress, this.#limits, ended);
    if (body === "incomplete") return { kind: "incomplete" };
    if (typeof body === "string") return refused(body, "the reply's body is malformed or too large");
    this.#progress = undefined;
    const { status, reason, minor, headers } = head;
    const untilClose = head.body.kind === "until-close";
    return {
      kind: "message",
      bytes: body.end,
      message: { status, reason, minor, headers, body: body.bytes, untilClose },
    };
  }
}

function readBody(
  buffer: PeekBuffer,
  framing: BodyFraming,
  progress: Progress<unknown>,
  limits: HttpLimits,
  ended: boolean,
): Body {
  const { headEnd, chunked } = progress;
  if (framing.kind === "none") return { end: headEnd, bytes: buffer.bytes(0, 0) };
  if (framing.kind === "until-close") {
    if (buffer.length - headEnd > limits.bodyBytesMax) return "too-large";
    return ended ? { end: buffer.length, bytes: buffer.bytes(headEnd) } : "incomplete";
  }
  if (framing.kind === "sized") {
    if (framing.bytes > limits.bodyBytesMax) return "too-large";
    const end = headEnd + framing.bytes;
    return buffer.length < end ? "incomplete" : { end, bytes: buffer.bytes(headEnd, end) };
  }
  const state = (chunked as ChunkedBody).advance(buffer);
  if (state === "complete")
    return { end: (chunked as ChunkedBody).end, bytes: (chunked as ChunkedBody).body() };
  if (state === "too-large") return "too-large";
  return state;
}

/** The position behind the empty line that ends the head. */
function findHeadEnd(
  buffer: PeekBuffer,
  searched: number,
  bytesMax: number,
): number | "incomplete" | "too-large" {
  const found = buffer.indexOf(HEAD_END, Math.max(0, searched - HEAD_END.length + 1));
  const end = found < 0 ? buffer.length : found + HEAD_END.length;
  if (end > bytesMax) return "too-large";
  return found < 0 ? "incomplete" : end;
}

/** Empty lines before a request line, which RFC 9112 §2.2 wants ignored. */
function blankLines(buffer: PeekBuffer): number {
  if (buffer.length < 2) return 0;
  const [first, second] = buffer.bytes(0, 2);
  return first === CR && second === LF ? 2 : 0;
}

function chunkedOf(framing: BodyFraming, start: number, limits: HttpLimits): ChunkedBody | undefined {
  return framing.kind === "chunked" ? new ChunkedBody(start, limits.bodyBytesMax) : undefined;
}

function refused(status: RefusedStatus, why: string): Frame<never> {
  return { kind: "refused", status, why };
}

function refusedBy(error: unknown): Frame<never> {
  if (error instanceof HeadError) return refused("malformed", error.message);
  throw error;
}
