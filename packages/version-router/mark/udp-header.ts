/**
 * The mark of a datagram: 16 bytes between the UDP header and the payload. All numbers in network byte order.
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
 * |           flags (0)           |      checksum complement      |
 * +-------------------------------+-------------------------------+
 *
 * The complement is chosen together with the UDP checksum so that both stay right whether or not the checksum has
 * been left to the network card; the derivation is in docs/WIRE.md, the code in datapath/kernel/bpf/udp.h. Receivers
 * ignore flags that they do not know.
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

export const UDP_MARK_BYTES = 16;

/** The header with a zero complement. Throws RangeError on a tag or version out of range. */
export function encodeUdpMark(mark: Mark): Uint8Array {
  assertTag(mark.tag);
  const bytes = new Uint8Array(UDP_MARK_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, MARK_MAGIC);
  view.setUint16(2, mark.tag);
  view.setUint32(4, packSender(mark.version));
  if (mark.advertisement !== undefined) view.setUint32(8, packAdvertisement(mark.advertisement));
  return bytes;
}

/** Reads the start of a UDP payload; undefined when it is no mark. Never throws. */
export function decodeUdpMark(payload: Uint8Array): Mark | undefined {
  if (payload.length < UDP_MARK_BYTES) return undefined;
  const view = new DataView(payload.buffer, payload.byteOffset, UDP_MARK_BYTES);
  const tag = view.getUint16(2);
  const version = unpackSender(view.getUint32(4));
  if (view.getUint16(0) !== MARK_MAGIC || tag === 0 || version === undefined) return undefined;
  return { tag, version, advertisement: unpackAdvertisement(view.getUint32(8)) };
}
