/** MessagePack-RPC as the policies see it: replies are matched by id, notifications have none. */
import type { PeekBuffer } from "../../buffer/peek-buffer.ts";
import type { ApplicationWords, Frame, Framing } from "../contract.ts";
import { MSGPACK_MESSAGE_BYTES_MAX } from "./framing.ts";
import {
  encodeRpcReply,
  encodeRpcRequest,
  encodeText,
  MSGPACK_NIL,
  rpcReplyOf,
  rpcRequestOf,
  type MsgpackRpcReply,
  type MsgpackRpcRequest,
} from "./rpc-messages.ts";
import { MsgpackScan } from "./scan.ts";

export interface MsgpackRpcOptions extends Pick<
  ApplicationWords<MsgpackRpcRequest, MsgpackRpcReply>,
  "classify" | "isFault" | "isFound" | "isSuccess" | "ownReply"
> {
  /** Of a message, bytes. Default 16 MiB. */
  readonly messageBytesMax?: number;
}

const NIL = 0xc0;

export function msgpackRpcFraming(
  options: MsgpackRpcOptions = {},
): Framing<MsgpackRpcRequest, MsgpackRpcReply> {
  const { messageBytesMax = MSGPACK_MESSAGE_BYTES_MAX, ...words } = options;
  return {
    isSuccess: (reply) => reply.error[0] === NIL,
    isFound: (reply) => reply.error[0] === NIL && reply.result[0] !== NIL,
    ...words,
    requestReader: () => new MembersReader(messageBytesMax, rpcRequestOf),
    replyReader: () => new MembersReader(messageBytesMax, rpcReplyOf),
    answers: (reply, request) => reply.id === request.id,
    expectsReply: ({ id }) => id !== undefined,
    sizeOf: ({ method, params }) => method.length + params.length,
    lengthOf: ({ result }) => result.length,
    encodeRequest: encodeRpcRequest,
    encodeReply: encodeRpcReply,
    failure: (_kind, detail, { id }) =>
      id === undefined ? undefined : { id, error: encodeText(detail), result: MSGPACK_NIL },
    refusal: () => undefined,
  };
}

/** Cuts a message into the bytes of its members, and has them understood. */
class MembersReader<Message> {
  readonly #bytesMax: number;
  readonly #understand: (members: readonly Buffer[]) => Message | "notification" | undefined;
  #scan: MsgpackScan;

  constructor(
    bytesMax: number,
    understand: (members: readonly Buffer[]) => Message | "notification" | undefined,
  ) {
    this.#bytesMax = bytesMax;
    this.#understand = understand;
    this.#scan = new MsgpackScan(bytesMax);
  }

  read(buffer: PeekBuffer): Frame<Message> {
    const scanned = this.#scan.advance(buffer);
    if (scanned.kind !== "complete") return scanned;
    this.#scan = new MsgpackScan(this.#bytesMax);
    const { end, items, start } = scanned;
    const whole = buffer.bytes(0, end);
    const members = items.map((itemEnd, index) => whole.subarray(items[index - 1] ?? start, itemEnd));
    const message = this.#understand(members);
    // What a server tells unasked answers nobody.
    if (message === "notification") return { kind: "skip", bytes: end };
    if (message === undefined)
      return { kind: "refused", status: "malformed", why: "it is no message of MessagePack-RPC" };
    return { kind: "message", bytes: end, message };
  }
}
