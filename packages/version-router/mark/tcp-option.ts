/**
 * The mark of a TCP connection: an experimental option (RFC 6994) in SYN and SYN-ACK, always the last option of the
 * header. All numbers in network byte order. Linux's SYN grows from 40 to 56 bytes of TCP header; the limit is 60.
 *
 *  0                   1                   2                   3
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 * +---------------+---------------+-------------------------------+
 * |   kind 253    |   length 16   |         ExID 0x5652           |
 * +-------+-------+---------------+-------------------------------+
 * | format|               sender's version (28 bits)              |
 * +-------+-------------------------------------------------------+
 * | status|             advertised version (28 bits)              |
 * +-------+-----------------------+-------------------------------+
 * |   tag of the service's name   |           flags (0)           |
 * +-------------------------------+-------------------------------+
 */
import {
  MARK_MAGIC,
  assertTag,
  packAdvertisement,
  packSender,
  unpackAdvertisement,
  unpackSender,
} from "./mark.ts";
import type { Mark } from "./mark.ts";

export const TCP_MARK_KIND = 253;
export const TCP_MARK_BYTES = 16;

const KIND_END = 0;
const KIND_NOP = 1;

/** Throws RangeError on a tag or version out of range. */
export function encodeTcpMark(mark: Mark): Uint8Array {
  assertTag(mark.tag);
  const bytes = new Uint8Array(TCP_MARK_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, TCP_MARK_KIND);
  view.setUint8(1, TCP_MARK_BYTES);
  view.setUint16(2, MARK_MAGIC);
  view.setUint32(4, packSender(mark.version));
  if (mark.advertisement !== undefined) view.setUint32(8, packAdvertisement(mark.advertisement));
  view.setUint16(12, mark.tag);
  return bytes;
}

/** Finds the mark among the options of a TCP header (what follows its first 20 bytes). Never throws. */
export function findTcpMark(options: Uint8Array): Mark | undefined {
  const view = new DataView(options.buffer, options.byteOffset, options.length);
  let at = 0;
  while (at < options.length) {
    const kind = view.getUint8(at);
    if (kind === KIND_END) return undefined;
    if (kind === KIND_NOP) {
      at += 1;
      continue;
    }
    const length = at + 1 < options.length ? view.getUint8(at + 1) : 0;
    if (length < 2 || at + length > options.length) return undefined;
    const isMark =
      kind === TCP_MARK_KIND && length === TCP_MARK_BYTES && view.getUint16(at + 2) === MARK_MAGIC;
    if (isMark) return decodeAt(view, at);
    at += length;
  }
  return undefined;
}

function decodeAt(view: DataView, at: number): Mark | undefined {
  const tag = view.getUint16(at + 12);
  const version = unpackSender(view.getUint32(at + 4));
  if (tag === 0 || version === undefined) return undefined;
  return { tag, version, advertisement: unpackAdvertisement(view.getUint32(at + 8)) };
}
