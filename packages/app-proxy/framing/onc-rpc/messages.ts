/**
 * ONC RPC messages (RFC 5531 §9), as far as a proxy must look. All numbers are big-endian words of 32 bits.
 *
 *     call:   xid | 0 | 2 | program | version | procedure | credential | verifier | arguments
 *     reply:  xid | 1 | 0 | verifier | status | results        accepted
 *             xid | 1 | 1 | why                                denied
 *     credential, verifier:  flavor | length | up to 400 bytes, padded to words
 */
export interface RpcCall {
  readonly xid: number;
  readonly program: number;
  readonly version: number;
  readonly procedure: number;
  /** Credential and verifier as they came. */
  readonly authentication: Uint8Array;
  readonly args: Uint8Array;
}

export type RpcReply =
  | {
      readonly kind: "accepted";
      readonly xid: number;
      readonly verifier: Uint8Array;
      /** 0 success, 1 no such program, 2 no such version, 3 no such procedure, 4 garbage arguments, 5 system error. */
      readonly status: number;
      readonly results: Uint8Array;
    }
  | { readonly kind: "denied"; readonly xid: number; readonly why: Uint8Array };

export const RPC_SUCCESS = 0;
export const RPC_SYSTEM_ERROR = 5;

const CALL = 0;
const REPLY = 1;
const RPC_VERSION = 2;
const AUTHENTICATION_BYTES_MAX = 400;
/** AUTH_NONE, no bytes. */
const NO_VERIFIER = Buffer.alloc(8);

/** Undefined when the record is no call of RPC version 2. */
export function parseCall(record: Buffer): RpcCall | undefined {
  if (record.length < 24 || record.readUInt32BE(4) !== CALL || record.readUInt32BE(8) !== RPC_VERSION)
    return undefined;
  const credentialEnd = authenticationEnd(record, 24);
  const end = credentialEnd === undefined ? undefined : authenticationEnd(record, credentialEnd);
  if (end === undefined) return undefined;
  return {
    xid: record.readUInt32BE(0),
    program: record.readUInt32BE(12),
    version: record.readUInt32BE(16),
    procedure: record.readUInt32BE(20),
    authentication: record.subarray(24, end),
    args: record.subarray(end),
  };
}

export function parseReply(record: Buffer): RpcReply | undefined {
  if (record.length < 12 || record.readUInt32BE(4) !== REPLY) return undefined;
  const xid = record.readUInt32BE(0);
  const state = record.readUInt32BE(8);
  if (state === 1) return { kind: "denied", xid, why: record.subarray(12) };
  const end = authenticationEnd(record, 12);
  if (state !== 0 || end === undefined || record.length < end + 4) return undefined;
  const status = record.readUInt32BE(end);
  return {
    kind: "accepted",
    xid,
    verifier: record.subarray(12, end),
    status,
    results: record.subarray(end + 4),
  };
}

export function encodeCall(call: RpcCall): readonly Uint8Array[] {
  const head = wordsOf(call.xid, CALL, RPC_VERSION, call.program, call.version, call.procedure);
  return [head, call.authentication, call.args];
}

export function encodeReply(reply: RpcReply): readonly Uint8Array[] {
  if (reply.kind === "denied") return [wordsOf(reply.xid, REPLY, 1), reply.why];
  return [wordsOf(reply.xid, REPLY, 0), reply.verifier, wordsOf(reply.status), reply.results];
}

/** An accepted reply of the proxy's own. */
export function rpcReply(xid: number, status: number, results: Uint8Array = Buffer.alloc(0)): RpcReply {
  return { kind: "accepted", xid, verifier: NO_VERIFIER, status, results };
}

function authenticationEnd(record: Buffer, start: number): number | undefined {
  if (record.length < start + 8) return undefined;
  const length = record.readUInt32BE(start + 4);
  const end = start + 8 + Math.ceil(length / 4) * 4;
  return length > AUTHENTICATION_BYTES_MAX || end > record.length ? undefined : end;
}

function wordsOf(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  values.forEach((value, index) => bytes.writeUInt32BE(value >>> 0, index * 4));
  return bytes;
}
