/**
 * Reads what `tcpdump -l -n -x` prints and tells the marks in it, one line per marked packet:
 *
 *   tcpdump -l -n -x -i uplink 'udp or tcp[tcpflags] & tcp-syn != 0' | vm-upgrade marks
 *
 * Pure: the caller reads stdin and prints. Packets that bear no mark are left out.
 */
import { findTcpMark } from "./tcp-option.ts";
import { decodeUdpMark } from "./udp-header.ts";
import type { Mark } from "./mark.ts";

/** A packet's bytes that are kept at most; a mark lies in the first 80. */
const PACKET_BYTES_MAX = 128;
const HEX_LINE = /^\s+0x[0-9a-f]{4}:\s+((?:[0-9a-f]{2,4} ?)+)/;
const TIME = /^(\S+)\s/;
const ETHERNET_BYTES = 14;
const PROTOCOL_TCP = 6;
const PROTOCOL_UDP = 17;
const FLAG_SYN = 0x02;
const FLAG_ACK = 0x10;

/** A marked packet, as found in an IPv4 packet's bytes. */
export interface MarkedPacket {
  readonly from: string;
  readonly to: string;
  readonly form: "udp" | "tcp SYN" | "tcp SYN-ACK";
  readonly mark: Mark;
}

/** How a tag is shown; default its hexadecimal number. */
export type TagName = (tag: number) => string;

const hexTag: TagName = (tag) => `tag 0x${tag.toString(16).padStart(4, "0")}`;

/** Turns lines of `tcpdump -x` (or `-xx`) into lines about marks. */
export async function* decodeCapture(
  lines: AsyncIterable<string> | Iterable<string>,
  tagName: TagName = hexTag,
): AsyncGenerator<string, void, undefined> {
  let time = "";
  let bytes: number[] = [];
  const flush = (): string | undefined => {
    const packet = decodePacket(Uint8Array.from(bytes));
    bytes = [];
    return packet === undefined ? undefined : describe(time, packet, tagName);
  };
  for await (const line of lines) {
    const hex = HEX_LINE.exec(line)?.[1];
    if (hex !== undefined) {
      if (bytes.length < PACKET_BYTES_MAX) bytes.push(...hexBytes(hex));
      continue;
    }
    const text = flush();
    if (text !== undefined) yield text;
    time = TIME.exec(line)?.[1] ?? "";
  }
  const text = flush();
  if (text !== undefined) yield text;
}

/** Finds the mark in an IPv4 packet, with or without its Ethernet header. Never throws. */
export function decodePacket(bytes: Uint8Array): MarkedPacket | undefined {
  const hasEthernet = bytes[12] === 0x08 && bytes[13] === 0x00 && (bytes[ETHERNET_BYTES] ?? 0) >>> 4 === 4;
  const packet = hasEthernet ? bytes.subarray(ETHERNET_BYTES) : bytes;
  const headerBytes = ((packet[0] ?? 0) & 0x0f) * 4;
  if ((packet[0] ?? 0) >>> 4 !== 4 || headerBytes < 20 || packet.length < headerBytes + 8) return undefined;
  const view = new DataView(packet.buffer, packet.byteOffset, packet.length);
  const isLaterFragment = (view.getUint16(6) & 0x1fff) !== 0;
  const found = isLaterFragment ? undefined : findMark(packet[9], packet.subarray(headerBytes));
  if (found === undefined) return undefined;
  const address = (at: number): string => packet.subarray(at, at + 4).join(".");
  return {
    from: `${address(12)}:${view.getUint16(headerBytes)}`,
    to: `${address(16)}:${view.getUint16(headerBytes + 2)}`,
    ...found,
  };
}

function findMark(
  protocol: number | undefined,
  segment: Uint8Array,
): Pick<MarkedPacket, "form" | "mark"> | undefined {
  if (protocol === PROTOCOL_UDP) {
    const mark = decodeUdpMark(segment.subarray(8));
    return mark === undefined ? undefined : { form: "udp", mark };
  }
  const flags = segment[13] ?? 0;
  if (protocol !== PROTOCOL_TCP || (flags & FLAG_SYN) === 0) return undefined;
  const headerBytes = ((segment[12] ?? 0) >>> 4) * 4;
  const mark = findTcpMark(segment.subarray(20, headerBytes));
  return mark === undefined
    ? undefined
    : { form: (flags & FLAG_ACK) === 0 ? "tcp SYN" : "tcp SYN-ACK", mark };
}

function hexBytes(hex: string): number[] {
  const digits = hex.replaceAll(" ", "");
  const bytes: number[] = [];
  for (let at = 0; at + 2 <= digits.length; at += 2)
    bytes.push(Number.parseInt(digits.slice(at, at + 2), 16));
  return bytes;
}

function describe(time: string, { from, to, form, mark }: MarkedPacket, tagName: TagName): string {
  const advertised = mark.advertisement;
  const tail = advertised === undefined ? "" : `, advertises ${advertised.version} ${advertised.status}`;
  return `${time} ${from} > ${to} ${form}: ${tagName(mark.tag)} version ${mark.version}${tail}`.trimStart();
}
