/**
 * Messages behind their length.
 *
 *     +--------+----------------+
 *     | length | payload        |   length: 1, 2, 4 or 8 bytes, of the payload or of both
 *     +--------+----------------+
 */
import type { PeekBuffer } from "../../buffer/peek-buffer.ts";
import { ProxyError } from "../../errors.ts";
import type { ApplicationWords, Frame, Framing } from "../contract.ts";

export interface LengthPrefixOptions extends ApplicationWords<Uint8Array, Uint8Array> {
  readonly sizeBytes: 1 | 2 | 4 | 8;
  /** Default: big-endian, as networks want it. */
  readonly littleEndian?: boolean;
  /** The length counts its own bytes too. Default: it does not. */
  readonly includesHeader?: boolean;
  /** Of a payload, bytes. Default 16 MiB. A message is held whole, once per version while replies are gathered. */
  readonly messageBytesMax?: number;
}

export const LENGTH_PREFIX_MESSAGE_BYTES_MAX = 16 * 1024 * 1024;

/** Messages are payloads. Without `failure` a request that no version answers ends its client's connection. */
export function lengthPrefixFraming(options: LengthPrefixOptions): Framing<Uint8Array, Uint8Array> {
  const { sizeBytes, littleEndian, includesHeader, messageBytesMax, ...words } = options;
  const format = {
    sizeBytes,
    littleEndian: littleEndian === true,
    counted: includesHeader === true ? sizeBytes : 0,
    messageBytesMax: messageBytesMax ?? LENGTH_PREFIX_MESSAGE_BYTES_MAX,
  };
  const reader = { read: (buffer: PeekBuffer) => readMessage(buffer, format) };
  return {
    failure: () => undefined,
    refusal: () => undefined,
    ...words,
    requestReader: () => reader,
    replyReader: () => reader,
    sizeOf: (request) => request.length,
    lengthOf: (reply) => reply.length,
    encodeRequest: (request) => [header(request.length, format), request],
    encodeReply: (reply) => [header(reply.length, format), reply],
  };
}

interface Format {
  readonly sizeBytes: 1 | 2 | 4 | 8;
  readonly littleEndian: boolean;
  /** How many bytes of the header the length counts. */
  readonly counted: number;
  readonly messageBytesMax: number;
}

function readMessage(buffer: PeekBuffer, format: Format): Frame<Uint8Array> {
  const { sizeBytes, counted, messageBytesMax } = format;
  if (buffer.length < sizeBytes) return { kind: "incomplete" };
  const length = readLength(buffer.bytes(0, sizeBytes), format) - counted;
  if (length < 0)
    return { kind: "refused", status: "malformed", why: "the length is less than the header's" };
  if (length > messageBytesMax) {
    return {
      kind: "refused",
      status: "too-large",
      why: `the message is longer than ${messageBytesMax} bytes`,
    };
  }
  const bytes = sizeBytes + length;
  if (buffer.length < bytes) return { kind: "incomplete" };
  return { kind: "message", bytes, message: buffer.bytes(sizeBytes, bytes) };
}

/** Inexact beyond 2⁵³, which is beyond every cap. */
function readLength(bytes: Buffer, { sizeBytes, littleEndian }: Format): number {
  if (sizeBytes < 8) return littleEndian ? bytes.readUIntLE(0, sizeBytes) : bytes.readUIntBE(0, sizeBytes);
  return Number(littleEndian ? bytes.readBigUInt64LE() : bytes.readBigUInt64BE());
}

function header(payloadBytes: number, { sizeBytes, littleEndian, counted, messageBytesMax }: Format): Buffer {
  const length = payloadBytes + counted;
  if (payloadBytes > messageBytesMax || (sizeBytes < 8 && length >= 256 ** sizeBytes)) {
    throw new ProxyError(
      "E_MESSAGE_TOO_LARGE",
      `A message of ${payloadBytes} bytes does not fit its framing; raise messageBytesMax or the size's width.`,
    );
  }
  const bytes = Buffer.alloc(sizeBytes);
  if (sizeBytes === 8) {
    if (littleEndian) bytes.writeBigUInt64LE(BigInt(length));
    else bytes.writeBigUInt64BE(BigInt(length));
  } else if (littleEndian) bytes.writeUIntLE(length, 0, sizeBytes);
  else bytes.writeUIntBE(length, 0, sizeBytes);
  return bytes;
}
