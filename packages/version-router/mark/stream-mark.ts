/**
 * The mark of a TCP connection between relays: the first 16 bytes that each side sends, before any payload. All
 * numbers in network byte order. Where the path or the data path cannot carry the option of `tcp-option.ts`.
 *
 *  0                   1                   2                   3
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 * +---------------+---------------+-------------------------------+
 * |    'V' 0x56   |    'R' 0x52   |    tag of the service's name  |
 * +-------+-------+---------------+-------------------------------+
 * | format|               sender's version (28 bits)              |
 * +-------+-------------------------------------------------------+
 * | status|             advertised version (28 bits)              |
 * +-------+-----------------------+-------------------------------+
 * |           flags (0)           |            checksum           |
 * +-------------------------------+-------------------------------+
 *
 * The checksum (RFC 1071, over these 16 bytes) keeps a client's payload that happens to begin alike from being taken
 * for a mark. Receivers ignore flags that they do not know.
 */
import { MARK_MAGIC } from "./mark.ts";
import { UDP_MARK_BYTES, decodeUdpMark, encodeUdpMark } from "./udp-header.ts";
import type { Mark } from "./mark.ts";

export const STREAM_MARK_BYTES = UDP_MARK_BYTES;

const CHECKSUM_AT = 14;
const CHECKSUM_RIGHT = 0xffff;

/** Throws RangeError on a tag or version out of range. */
export function encodeStreamMark(mark: Mark): Uint8Array {
  const bytes = encodeUdpMark(mark);
  const view = new DataView(bytes.buffer);
  view.setUint16(CHECKSUM_AT, CHECKSUM_RIGHT - sum(view));
  return bytes;
}

/** Reads the start of a stream; undefined when it is no mark, or less than one. Never throws. */
export function decodeStreamMark(start: Uint8Array): Mark | undefined {
  if (start.length < STREAM_MARK_BYTES) return undefined;
  const view = new DataView(start.buffer, start.byteOffset, STREAM_MARK_BYTES);
  return sum(view) === CHECKSUM_RIGHT ? decodeUdpMark(start) : undefined;
}

/** False when a stream that begins with these bytes (perhaps fewer than a mark's) bears none, whatever follows. */
export function mayBeStreamMark(start: Uint8Array): boolean {
  if (start.length >= STREAM_MARK_BYTES) return decodeStreamMark(start) !== undefined;
  return [MARK_MAGIC >>> 8, MARK_MAGIC & 0xff].every((byte, at) => at >= start.length || start[at] === byte);
}

/** One's-complement sum of the sixteen bytes. */
function sum(view: DataView): number {
  let total = 0;
  for (let at = 0; at < STREAM_MARK_BYTES; at += 2) total += view.getUint16(at);
  while (total > 0xffff) total = (total & 0xffff) + (total >>> 16);
  return total;
}
