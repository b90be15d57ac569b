/**
 * MessagePack-RPC messages: arrays whose first member says what they are.
 *
 *     [0, id, method, params]   request
 *     [1, id, error, result]    reply; error is nil when there was none
 *     [2, method, params]       notification, which nobody answers
 */
export interface MsgpackRpcRequest {
  /** Undefined: a notification. */
  readonly id: number | undefined;
  readonly method: string;
  /** The bytes of a value. */
  readonly params: Uint8Array;
}

export interface MsgpackRpcReply {
  readonly id: number;
  /** The bytes of values. */
  readonly error: Uint8Array;
  readonly result: Uint8Array;
}

export const MSGPACK_NIL: Uint8Array = Buffer.of(0xc0);

/** What the members of a message, as bytes, mean; undefined when they are none of a request. */
export function rpcRequestOf(members: readonly Buffer[]): MsgpackRpcRequest | undefined {
  const kind = members[0] === undefined ? undefined : uintOf(members[0]);
  const [, second, third, fourth] = members;
  if (kind === 0 && members.length === 4) {
    const id = uintOf(second as Buffer);
    const method = textOf(third as Buffer);
    return id === undefined || method === undefined ? undefined : { id, method, params: fourth as Buffer };
  }
  if (kind !== 2 || members.length !== 3) return undefined;
  const method = textOf(second as Buffer);
  return method === undefined ? undefined : { id: undefined, method, params: third as Buffer };
}

export function rpcReplyOf(members: readonly Buffer[]): MsgpackRpcReply | "notification" | undefined {
  const kind = members[0] === undefined ? undefined : uintOf(members[0]);
  if (kind === 2 && members.length === 3) return "notification";
  const [, second, error, result] = members;
  const id = second === undefined ? undefined : uintOf(second);
  if (kind !== 1 || members.length !== 4 || id === undefined) return undefined;
  return { id, error: error as Buffer, result: result as Buffer };
}

export function encodeRpcRequest({ id, method, params }: MsgpackRpcRequest): readonly Uint8Array[] {
  if (id === undefined) return [Buffer.concat([Buffer.of(0x93, 2), encodeText(method), params])];
  return [Buffer.concat([Buffer.of(0x94, 0), encodeUint(id), encodeText(method), params])];
}

export function encodeRpcReply({ id, error, result }: MsgpackRpcReply): readonly Uint8Array[] {
  return [Buffer.concat([Buffer.of(0x94, 1), encodeUint(id), error, result])];
}

/** A string as MessagePack. */
export function encodeText(text: string): Buffer {
  const bytes = Buffer.from(text);
  if (bytes.length <= 31) return Buffer.concat([Buffer.of(0xa0 | bytes.length), bytes]);
  const head = Buffer.alloc(5);
  head[0] = 0xdb;
  head.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
}

function encodeUint(value: number): Buffer {
  if (value <= 0x7f) return Buffer.of(value);
  const bytes = Buffer.alloc(5);
  bytes[0] = 0xce;
  bytes.writeUInt32BE(value, 1);
  return bytes;
}

/** Ids are of 32 bits; senders may write them wider than they need be. */
function uintOf(item: Buffer): number | undefined {
  const type = item[0] ?? 0xc1;
  if (type <= 0x7f) return type;
  if (type >= 0xcc && type <= 0xce) return item.readUIntBE(1, item.length - 1);
  if (type !== 0xcf && type !== 0xd3) return undefined;
  const value = item.readBigUInt64BE(1);
  return value <= 0xffff_ffffn ? Number(value) : undefined;
}

/** The length of a string's head is what its length leaves of it. */
function textOf(item: Buffer): string | undefined {
  const type = item[0] ?? 0xc1;
  if (type >= 0xa0 && type <= 0xbf) return item.toString("utf8", 1);
  if (type < 0xd9 || type > 0xdb) return undefined;
  return item.toString("utf8", 1 + 2 ** (type - 0xd9));
}
