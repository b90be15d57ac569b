/**
 * Record marking (RFC 5531 §11): a record is one or more fragments, and the last one says so.
 *
 *     +-+-------------+---------+
 *     |L| length (31) | bytes   |   L: last fragment of its record
 *     +-+-------------+---------+
 */
import type { PeekBuffer } from "../../buffer/peek-buffer.ts";
import type { ApplicationWords, Frame, Framing } from "../contract.ts";
import {
  encodeCall,
  encodeReply,
  parseCall,
  parseReply,
  RPC_SUCCESS,
  RPC_SYSTEM_ERROR,
  rpcReply,
  type RpcCall,
  type RpcReply,
} from "./messages.ts";

export interface OncRpcOptions extends Pick<
  ApplicationWords<RpcCall, RpcReply>,
  "classify" | "isFault" | "isFound" | "isSuccess" | "ownReply"
> {
  /** Of a record, bytes. Default 16 MiB. It is held whole, once per version while replies are gathered. */
  readonly recordBytesMax?: number;
}

export const RPC_RECORD_BYTES_MAX = 16 * 1024 * 1024;
/** Fragments that a record may come in; they cost time each, and senders that use more than a few are rare. */
export const RPC_FRAGMENTS_MAX = 1024;

const LAST = 0x8000_0000;

/** Replies are matched by their xid, whatever their order. Results of the application's own are its `isSuccess`'s to judge. */
export function oncRpcFraming(options: OncRpcOptions = {}): Framing<RpcCall, RpcReply> {
  const { recordBytesMax = RPC_RECORD_BYTES_MAX, ...words } = options;
  return {
    isSuccess: (reply) => reply.kind === "accepted" && reply.status === RPC_SUCCESS,
    isFault: (reply) => reply.kind === "accepted" && reply.status === RPC_SYSTEM_ERROR,
    ...words,
    requestReader: () => new RecordReader(recordBytesMax, parseCall),
    replyReader: () => new RecordReader(recordBytesMax, parseReply),
    answers: (reply, call) => reply.xid === call.xid,
    sizeOf: (call) => call.args.length + call.authentication.length,
    lengthOf: (reply) => (reply.kind === "accepted" ? reply.results.length : 0),
    encodeRequest: (call) => marked(encodeCall(call)),
    encodeReply: (reply) => marked(encodeReply(reply)),
    failure: (_kind, _detail, call) => rpcReply(call.xid, RPC_SYSTEM_ERROR),
    refusal: () => undefined,
  };
}

class RecordReader<Message> {
  readonly #bytesMax: number;
  readonly #parse: (record: Buffer) => Message | undefined;
  /** Where the next fragment begins, and where the bytes of those before lie. */
  #position = 0;
  #fragments: { readonly start: number; readonly end: number }[] = [];
  #bytes = 0;

  constructor(bytesMax: number, parse: (record: Buffer) => Message | undefined) {
    this.#bytesMax = bytesMax;
    this.#parse = parse;
  }

  read(buffer: PeekBuffer): Frame<Message> {
    for (;;) {
      const start = this.#position + 4;
      if (buffer.length < start) return { kind: "incomplete" };
      const mark = buffer.bytes(this.#position, start).readUInt32BE(0);
      const end = start + (mark % LAST);
      if (this.#bytes + end - start > this.#bytesMax || this.#fragments.length >= RPC_FRAGMENTS_MAX) {
        return { kind: "refused", status: "too-large", why: "the record has too many bytes or fragments" };
      }
      if (buffer.length < end) return { kind: "incomplete" };
      this.#fragments.push({ start, end });
      this.#bytes += end - start;
      this.#position = end;
      if (mark >= LAST) return this.#whole(buffer);
    }
  }

  #whole(buffer: PeekBuffer): Frame<Message> {
    const parts = this.#fragments.map(({ start, end }) => buffer.bytes(start, end));
    const record = parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts, this.#bytes);
    const bytes = this.#position;
    this.#position = this.#bytes = 0;
    this.#fragments = [];
    const message = this.#parse(record);
    if (message === undefined)
      return { kind: "refused", status: "malformed", why: "the record is no RPC message" };
    return { kind: "message", bytes, message };
  }
}

function marked(parts: readonly Uint8Array[]): readonly Uint8Array[] {
  const mark = Buffer.alloc(4);
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  mark.writeUInt32BE(LAST + length);
  return [Buffer.concat([mark, ...parts])];
}
