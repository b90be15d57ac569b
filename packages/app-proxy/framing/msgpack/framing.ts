/** MessagePack values one behind the other, in requests and replies. */
import type { PeekBuffer } from "../../buffer/peek-buffer.ts";
import type { ApplicationWords, Frame, Framing } from "../contract.ts";
import { MsgpackScan } from "./scan.ts";

export interface MsgpackOptions extends ApplicationWords<Uint8Array, Uint8Array> {
  /** Of a value, bytes. Default 16 MiB. It is held whole, once per version while replies are gathered. */
  readonly messageBytesMax?: number;
}

export const MSGPACK_MESSAGE_BYTES_MAX = 16 * 1024 * 1024;

/** Messages are the bytes of a value; a release that must look into them brings its decoder. */
export function msgpackFraming(options: MsgpackOptions = {}): Framing<Uint8Array, Uint8Array> {
  const { messageBytesMax = MSGPACK_MESSAGE_BYTES_MAX, ...words } = options;
  return {
    failure: () => undefined,
    refusal: () => undefined,
    ...words,
    requestReader: () => new ValueReader(messageBytesMax),
    replyReader: () => new ValueReader(messageBytesMax),
    sizeOf: (request) => request.length,
    lengthOf: (reply) => reply.length,
    encodeRequest: (request) => [request],
    encodeReply: (reply) => [reply],
  };
}

class ValueReader {
  readonly #bytesMax: number;
  #scan: MsgpackScan;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
    this.#scan = new MsgpackScan(bytesMax);
  }

  read(buffer: PeekBuffer): Frame<Uint8Array> {
    const scanned = this.#scan.advance(buffer);
    if (scanned.kind !== "complete") return scanned;
    this.#scan = new MsgpackScan(this.#bytesMax);
    return { kind: "message", bytes: scanned.end, message: buffer.bytes(0, scanned.end) };
  }
}
