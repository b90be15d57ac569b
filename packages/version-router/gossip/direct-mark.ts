/**
 * A direct mark: the datagram by which routers tell each other what marks of a service would tell, so that an idle
 * fleet learns too. UDP to the exchange port (4078), one datagram per peer and round, never answered by a longer one.
 *
 *  0                   1                   2                   3
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 * +---------------------------------------------------------------+
 * |                                                               |
 * |         mark, 16 bytes, as in ../mark/udp-header.ts           |   1…16 times, one per advertisement;
 * |       (first two bytes "VR", checksum complement zero)        |   same tag and sender's version in all
 * |                                                               |
 * +---------------------------------------------------------------+
 * |  name of the service, 1…32 of [a-z0-9-], first a letter …     |   ASCII, to the end of the datagram
 * +---------------------------------------------------------------+
 *
 * A name opens with a lower case letter, so it is never taken for another mark. The tag must be the name's.
 */
import { decodeUdpMark, encodeUdpMark, UDP_MARK_BYTES } from "../mark/udp-header.ts";
import { MARK_MAGIC } from "../mark/mark.ts";
import { serviceTag } from "../mark/service-tag.ts";
import type { Advertisement } from "../control/contract.ts";

/** Advertisements of a service, and marks in a datagram. */
export const ADVERTISEMENTS_MAX = 16;
const NAME_BYTES_MAX = 32;
export const DIRECT_MARK_BYTES_MAX = ADVERTISEMENTS_MAX * UDP_MARK_BYTES + NAME_BYTES_MAX;
const NAME = /^[a-z][a-z0-9-]{0,31}$/;

export interface DirectMark {
  readonly service: string;
  /** 1…2²⁸−1 */
  readonly senderVersion: number;
  readonly advertisements: readonly Advertisement[];
}

/** Throws RangeError on a version out of range. */
export function encodeDirectMark({ service, senderVersion, advertisements }: DirectMark): Uint8Array {
  const tag = serviceTag(service);
  const marks = advertisements
    .slice(0, ADVERTISEMENTS_MAX)
    .map((advertisement) => encodeUdpMark({ tag, version: senderVersion, advertisement }));
  const name = new TextEncoder().encode(service);
  const bytes = new Uint8Array(marks.length * UDP_MARK_BYTES + name.length);
  for (const [index, mark] of marks.entries()) bytes.set(mark, index * UDP_MARK_BYTES);
  bytes.set(name, marks.length * UDP_MARK_BYTES);
  return bytes;
}

/**
 * Never throws; undefined for anything that breaks a rule above. Advertisements with a status of a later release
 * are left out, so there may be none.
 */
export function decodeDirectMark(bytes: Uint8Array): DirectMark | undefined {
  if (bytes.length > DIRECT_MARK_BYTES_MAX) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const marks = [];
  let at = 0;
  while (at + UDP_MARK_BYTES <= bytes.length && view.getUint16(at) === MARK_MAGIC) {
    const mark = decodeUdpMark(bytes.subarray(at));
    if (mark === undefined) return undefined;
    marks.push(mark);
    at += UDP_MARK_BYTES;
  }
  const service = String.fromCodePoint(...bytes.subarray(at));
  const [first] = marks;
  if (first === undefined || marks.length > ADVERTISEMENTS_MAX || !NAME.test(service)) return undefined;
  const consistent = marks.every((mark) => mark.tag === first.tag && mark.version === first.version);
  if (!consistent || first.tag !== serviceTag(service)) return undefined;
  const advertisements = marks.flatMap((mark) =>
    mark.advertisement === undefined ? [] : [mark.advertisement],
  );
  return { service, senderVersion: first.version, advertisements };
}
