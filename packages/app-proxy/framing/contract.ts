/**
 * What the policies need to know of a protocol: where a message ends, how a reply answers a request, and how to say
 * that something failed. `http/` is one; a protocol of your own needs these functions and gets every policy.
 */
import type { PeekBuffer } from "../buffer/peek-buffer.ts";
import type { ComparableValue } from "../compare/value.ts";
import type { Classified } from "./classified.ts";
import type { DatagramWords } from "./datagram/framing.ts";

/** What a reader found at the beginning of a buffer. */
export type Frame<Message> =
  /** More bytes are needed. `answerNow` goes to the sender at once (HTTP's 100 Continue). */
  | { readonly kind: "incomplete"; readonly answerNow?: Uint8Array }
  /** A whole message: the first `bytes` bytes of the buffer, still unconsumed, so that they can be had as they are. */
  | { readonly kind: "message"; readonly bytes: number; readonly message: Message }
  /** `bytes` bytes that mean nothing to the other side. */
  | { readonly kind: "skip"; readonly bytes: number }
  /** Not the protocol, or beyond a cap; nothing that follows can be understood. */
  | { readonly kind: "refused"; readonly why: string; readonly status: RefusedStatus };

/** `head-too-large` is for protocols that tell heads from bodies; `too-large` is every other cap. */
export type RefusedStatus = "malformed" | "head-too-large" | "too-large" | "unsupported";

/** Why no server's reply can be given. */
export type FailureKind =
  /** No version runs, or none could be connected to: nothing was sent. */
  | "unavailable"
  /** A server got the request, or part of it, and its connection broke before the reply. */
  | "broken"
  /** No reply within the request's deadline. */
  | "late"
  /** The application's own code in the proxy threw. */
  | "internal";

/** Reads one direction of one connection. May keep what it has learned of an incomplete message. */
export interface RequestReader<Request> {
  read(buffer: PeekBuffer): Frame<Request>;
}

export interface ReplyReader<Request, Reply> {
  /**
   * `request`: the oldest one that waits at this server; the one answered, unless the framing has `answers`.
   * `ended`: the server's stream is over, so what is here is all there will be.
   */
  read(buffer: PeekBuffer, request: Request, ended: boolean): Frame<Reply>;
}

/** The functions with a question mark have defaults; a protocol names only what it has. */
export interface Framing<Request, Reply> {
  readonly requestReader: () => RequestReader<Request>;
  readonly replyReader: () => ReplyReader<Request, Reply>;
  /** Memory that a request holds, bytes; about is enough. */
  readonly sizeOf: (request: Request) => number;
  /** The bytes of a request on a server connection. */
  readonly encodeRequest: (request: Request) => readonly Uint8Array[];
  /** The bytes of a reply to the client; `last`: the connection ends after it, say so if the protocol can. */
  readonly encodeReply: (reply: Reply, request: Request | undefined, last: boolean) => readonly Uint8Array[];
  /** What the client is told instead of a server's reply; undefined: there are no words, the connection is ended. */
  readonly failure: (kind: FailureKind, detail: string, request: Request) => Reply | undefined;
  /** What the client is told whose bytes were refused, before its connection ends; undefined: nothing. */
  readonly refusal: (status: RefusedStatus, why: string) => Reply | undefined;
  /** Which of the requests that wait a reply answers. Default: replies come in the order of the requests. */
  readonly answers?: (reply: Reply, request: Request) => boolean;
  /** Default: every request has a reply. Those without one are sent on, and nobody knows what became of them. */
  readonly expectsReply?: (request: Request) => boolean;
  /** For protocols whose requests say what they are; else the application must. */
  readonly classify?: (request: Request) => Classified;
  /** What the proxy answers by itself, because no version may be asked; undefined: nothing, ask them. */
  readonly ownReply?: (request: Request) => Reply | undefined;
  /** Whether the server did what it was asked. Default: whatever it replied. */
  readonly isSuccess?: (reply: Reply, request: Request) => boolean;
  /** Whether the reply to a read has what was asked for, so that no other version need be asked. Default: isSuccess. */
  readonly isFound?: (reply: Reply, request: Request) => boolean;
  /** Whether the reply says that the server itself is sick, not that the request was wrong. Default: none does. */
  readonly isFault?: (reply: Reply, request: Request) => boolean;
  /** Of what a reply carries, bytes; for choosing the longest. */
  readonly lengthOf?: (reply: Reply) => number;
  /** What is compared of a reply when versions are compared. Default: its bytes. */
  readonly comparable?: (reply: Reply, request: Request) => ComparableValue;
  /** A request in a few words, for people; without what may be secret. Default: nothing. */
  readonly describe?: (request: Request) => string;
  /** The client wants its connection closed after this request's reply. Default: never. */
  readonly isLastRequest?: (request: Request) => boolean;
  /** The server will close its connection after this reply. Default: never. */
  readonly isLastReply?: (reply: Reply) => boolean;
  /** Milliseconds that a server connection stays usable after this reply without traffic, when the reply says so. */
  readonly idleHintMs?: (reply: Reply) => number | undefined;
  /** Default of the limit of the same name, for protocols whose servers close quiet connections. */
  readonly serverIdleMs?: number;
  /** Each datagram is a message; made by `datagramFraming`. Default: messages come in a stream. */
  readonly datagram?: DatagramWords<Request, Reply>;
}

/** What a framing that knows only where messages end must be told by the application, as far as its protocol has it. */
export type ApplicationWords<Request, Reply> = Partial<
  Pick<
    Framing<Request, Reply>,
    | "answers"
    | "classify"
    | "comparable"
    | "describe"
    | "expectsReply"
    | "failure"
    | "isFault"
    | "isFound"
    | "isLastReply"
    | "isLastRequest"
    | "isSuccess"
    | "ownReply"
    | "refusal"
    | "serverIdleMs"
  >
>;
