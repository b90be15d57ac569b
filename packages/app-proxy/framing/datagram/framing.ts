/** Protocols over UDP: one datagram is one message. */
import type { PeekBuffer } from "../../buffer/peek-buffer.ts";
import type { ApplicationWords, FailureKind, Frame, Framing } from "../contract.ts";

/** Which reply answers which request; for protocols whose messages carry an id, as those of DNS do. */
export interface DatagramIds<Request, Reply> {
  /** Unique among the requests that one client address and port has on their way. */
  readonly request: (request: Request) => string | number;
  readonly reply: (reply: Reply) => string | number;
}

export interface DatagramOptions<Request, Reply> extends ApplicationWords<Request, Reply> {
  /** The message in a datagram; undefined or a throw: it is none, and is dropped. Default: its bytes. */
  readonly decodeRequest?: (bytes: Buffer) => Request | undefined;
  readonly decodeReply?: (bytes: Buffer) => Reply | undefined;
  /** Default: the message is its bytes. */
  readonly encodeRequest?: (request: Request) => Uint8Array;
  readonly encodeReply?: (reply: Reply) => Uint8Array;
  /**
   * Default: messages have no ids. Then the requests of one client wait for one another, each goes out from a fresh
   * port, and a request that a client repeats after it was answered is a new one.
   */
  readonly idOf?: DatagramIds<Request, Reply>;
}

/** What the policies need beyond a framing of streams. */
export interface DatagramWords<Request, Reply> {
  readonly idOf: DatagramIds<Request, Reply> | undefined;
  readonly decodeRequest: (bytes: Buffer) => Request | undefined;
  readonly decodeReply: (bytes: Buffer) => Reply | undefined;
}

/** A framing whose requests come from UDP ports. */
export interface DatagramFraming<Request, Reply> extends Framing<Request, Reply> {
  readonly datagram: DatagramWords<Request, Reply>;
}

/**
 * Without `failure` a client is told nothing of a request that no version answers. With it, it is told when no version
 * could be asked, or the proxy's own code failed; never when an answer may only be lost or late.
 */
export function datagramFraming<Request = Buffer, Reply = Buffer>(
  options: DatagramOptions<Request, Reply> = {},
): DatagramFraming<Request, Reply> {
  const { decodeReply, decodeRequest, encodeReply, encodeRequest, failure, idOf, ...words } = options;
  // By default Request and Reply are Buffer; whoever names other types gives the functions.
  const toRequest = quietly(decodeRequest ?? ((bytes) => bytes as unknown as Request));
  const toReply = quietly(decodeReply ?? ((bytes) => bytes as unknown as Reply));
  const fromRequest = encodeRequest ?? ((request: Request) => request as unknown as Buffer);
  const fromReply = encodeReply ?? ((reply: Reply) => reply as unknown as Buffer);
  return {
    refusal: () => undefined,
    ...words,
    failure: (kind, detail, request) => (maySay(kind) ? failure?.(kind, detail, request) : undefined),
    requestReader: () => ({ read: (buffer) => frameOf(buffer, toRequest) }),
    replyReader: () => ({ read: (buffer) => frameOf(buffer, toReply) }),
    sizeOf: (request) => fromRequest(request).length,
    lengthOf: (reply) => fromReply(reply).length,
    encodeRequest: (request) => [fromRequest(request)],
    encodeReply: (reply) => [fromReply(reply)],
    datagram: { idOf, decodeRequest: toRequest, decodeReply: toReply },
  };
}

/** A datagram that may only be lost or late is for the client to repeat. */
function maySay(kind: FailureKind): boolean {
  return kind === "unavailable" || kind === "internal";
}

function frameOf<Message>(
  buffer: PeekBuffer,
  decode: (bytes: Buffer) => Message | undefined,
): Frame<Message> {
  const message = decode(buffer.bytes());
  if (message === undefined) return { kind: "refused", status: "malformed", why: "it is no message" };
  return { kind: "message", bytes: buffer.length, message };
}

function quietly<Message>(
  decode: (bytes: Buffer) => Message | undefined,
): (bytes: Buffer) => Message | undefined {
  return (bytes) => {
    try {
      return decode(bytes);
    } catch {
      return undefined;
    }
  };
}
