/** Reading and rewriting frames: Ethernet, IPv4 without options or IPv6 without extension headers, and what follows. */
import { decodeUdpMark, findTcpMark, packAdvertisement, packSender } from "../../../../mark/index.ts";
import { addressAt, bytesOf } from "./address.ts";
import { adjust, fold, halved, residue, total } from "./sums.ts";
import { PROTOCOL } from "./world.ts";
import type { Mark } from "../../../../mark/index.ts";
import type { Slot } from "./world.ts";

export const ETHERTYPE = { ip: 0x0800, arp: 0x0806, ipv6: 0x86dd } as const;
export const IP = 14;
export const MARK_BYTES = 16;
export const FIN = 1;
export const SYN = 2;
export const RST = 4;
export const ACK = 16;
/** What `protocol` is where a fragment header follows. */
export const FRAGMENT = 44;
const EXTENSIONS: readonly number[] = [0, 43, 51, 59, 60, 135, 139, 140];

export interface Outcome {
  readonly action: "pass" | "drop" | "redirect";
  readonly frame: Buffer;
}

export function ethertype(frame: Buffer): number {
  return frame.readUInt16BE(12);
}

export interface Ip {
  readonly isV6: boolean;
  /** Of a version and header length that fit, and not longer than the frame. */
  readonly isWhole: boolean;
  readonly headerBytes: number;
  /** Where layer 4 begins in the frame, and how long it is. */
  readonly l4: number;
  readonly l4Bytes: number;
  readonly isFragment: boolean;
  readonly isLaterFragment: boolean;
  /** IPv6 only. */
  readonly hasExtension: boolean;
  readonly protocol: number;
  readonly from: string;
  readonly to: string;
}

/** Undefined when the frame is neither family's, or too short for the header. */
export function readIp(frame: Buffer): Ip | undefined {
  if (ethertype(frame) === ETHERTYPE.ip) return frame.length < 34 ? undefined : readIp4(frame);
  if (ethertype(frame) === ETHERTYPE.ipv6) return frame.length < 54 ? undefined : readIp6(frame);
  return undefined;
}

function readIp4(frame: Buffer): Ip {
  const fragment = frame.readUInt16BE(20);
  const totalBytes = frame.readUInt16BE(16);
  return {
    isV6: false,
    isWhole: frame[14] === 0x45 && totalBytes >= 20 && totalBytes + 14 <= frame.length,
    headerBytes: 20,
    l4: 34,
    l4Bytes: totalBytes - 20,
    isFragment: (fragment & 0x3fff) !== 0,
    isLaterFragment: (fragment & 0x1fff) !== 0,
    hasExtension: false,
    protocol: frame.readUInt8(23),
    from: addressAt(frame, 26, 4),
    to: addressAt(frame, 30, 4),
  };
}

function readIp6(frame: Buffer): Ip {
  const l4Bytes = frame.readUInt16BE(18);
  const protocol = frame.readUInt8(20);
  return {
    isV6: true,
    isWhole: frame.readUInt8(14) >>> 4 === 6 && l4Bytes + 54 <= frame.length,
    headerBytes: 40,
    l4: 54,
    l4Bytes,
    isFragment: protocol === FRAGMENT,
    isLaterFragment: false,
    hasExtension: EXTENSIONS.includes(protocol),
    protocol,
    from: addressAt(frame, 22, 16),
    to: addressAt(frame, 38, 16),
  };
}

export interface Tcp {
  readonly from: number;
  readonly to: number;
  readonly sequence: number;
  readonly acknowledges: number;
  readonly headerBytes: number;
  readonly flags: number;
  readonly isAbsurd: boolean;
}

export function readTcp(frame: Buffer, { l4 }: Ip): Tcp | undefined {
  if (frame.length < l4 + 20) return undefined;
  const headerBytes = (frame.readUInt8(l4 + 12) >>> 4) * 4;
  const flags = frame.readUInt8(l4 + 13);
  return {
    from: frame.readUInt16BE(l4),
    to: frame.readUInt16BE(l4 + 2),
    sequence: frame.readUInt32BE(l4 + 4),
    acknowledges: frame.readUInt32BE(l4 + 8),
    headerBytes,
    flags,
    isAbsurd: headerBytes < 20 || ((flags & SYN) !== 0 && (flags & (FIN | RST)) !== 0),
  };
}

export function tcpMark(frame: Buffer, { l4 }: Ip, tcp: Tcp): Mark | undefined {
  return findTcpMark(frame.subarray(l4 + 20, l4 + tcp.headerBytes));
}

export interface Udp {
  readonly from: number;
  readonly to: number;
  readonly bytes: number;
  readonly check: number;
  /** IPv6 wants a sum in every datagram. */
  readonly lacksSum: boolean;
  readonly mark: Mark | undefined;
}

export function readUdp(frame: Buffer, { l4, l4Bytes, isV6 }: Ip): Udp | undefined {
  if (frame.length < l4 + 8) return undefined;
  const bytes = frame.readUInt16BE(l4 + 4);
  const check = frame.readUInt16BE(l4 + 6);
  const holdsMark = bytes >= 8 + MARK_BYTES && bytes <= l4Bytes;
  return {
    from: frame.readUInt16BE(l4),
    to: frame.readUInt16BE(l4 + 2),
    bytes,
    check,
    lacksSum: isV6 && check === 0,
    mark: holdsMark ? decodeUdpMark(frame.subarray(l4 + 8)) : undefined,
  };
}

function pseudoTotal(frame: Buffer, { isV6, protocol }: Ip, bytes: number): number {
  return (isV6 ? total(frame, 22, 54) : total(frame, 26, 34)) + protocol + bytes;
}

function setLength(frame: Buffer, { isV6 }: Ip, l4Bytes: number): void {
  if (isV6) return void frame.writeUInt16BE(l4Bytes, 18);
  const before = frame.readUInt16BE(16);
  frame.writeUInt16BE(adjust(frame.readUInt16BE(24), before, 20 + l4Bytes), 24);
  frame.writeUInt16BE(20 + l4Bytes, 16);
}

/** Undefined when the checksum that covers the address is cut off. */
export function withAddress(frame: Buffer, ip: Ip, end: "from" | "to", address: string): Buffer | undefined {
  const changed = Buffer.from(frame);
  const next = bytesOf(address, ip.isV6);
  const bytes = next.length;
  const first = ip.isV6 ? 22 : 26;
  const at = end === "from" ? first : first + bytes;
  const [removed, added] = [total(frame, at, at + bytes), total(next, 0, bytes)];
  const checkAt = checkOf(ip);
  if (checkAt !== undefined) {
    if (frame.length < checkAt + 2) return undefined;
    const check = frame.readUInt16BE(checkAt);
    const isUdp = ip.protocol === PROTOCOL.udp;
    const finished = adjust(check, removed, added);
    if (!isUdp) changed.writeUInt16BE(finished, checkAt);
    else if (check !== 0) changed.writeUInt16BE(finished === 0 ? 0xffff : finished, checkAt);
  }
  if (!ip.isV6) changed.writeUInt16BE(adjust(frame.readUInt16BE(24), removed, added), 24);
  next.copy(changed, at);
  return changed;
}

/** Where the sum is that covers the addresses; in IPv6 ICMP has one, too. */
function checkOf({ isV6, isLaterFragment, protocol, l4 }: Ip): number | undefined {
  if (isLaterFragment) return undefined;
  if (protocol === PROTOCOL.tcp) return l4 + 16;
  if (protocol === PROTOCOL.udp) return l4 + 6;
  return isV6 && protocol === PROTOCOL.icmp6 ? l4 + 2 : undefined;
}

export function withMacs(frame: Buffer, to: Buffer, from: Buffer): Buffer {
  const changed = Buffer.from(frame);
  to.copy(changed, 0);
  from.copy(changed, 6);
  return changed;
}

export function advertisementOf(slot: Slot, advertised: number): number {
  return advertised === 0 ? packAdvertisement({ version: slot.version, status: "running" }) : advertised;
}

/** The equations of docs/WIRE.md. */
export function withUdpMark(frame: Buffer, ip: Ip, slot: Slot, advertised: number): Buffer {
  const { l4 } = ip;
  const bytes = frame.readUInt16BE(l4 + 4);
  const mark = Buffer.alloc(MARK_BYTES);
  mark.writeUInt16BE(0x5652, 0);
  mark.writeUInt16BE(slot.tag, 2);
  mark.writeUInt32BE(packSender(slot.version), 4);
  mark.writeUInt32BE(advertisementOf(slot, advertised), 8);
  const changed = Buffer.concat([frame.subarray(0, l4 + 8), mark, frame.subarray(l4 + 8)]);
  const check = frame.readUInt16BE(l4 + 6);
  if (check !== 0) {
    const pseudo = pseudoTotal(frame, ip, bytes);
    const header = total(frame, l4, l4 + 6);
    const first = total(mark, 0, 8);
    const twice = residue(check - pseudo - header - 64 - 2 * first - total(mark, 8, 14));
    const next = halved(twice);
    changed.writeUInt16BE(next, l4 + 6);
    changed.writeUInt16BE(fold(next + pseudo + 32 + header + first), l4 + 8 + 14);
  }
  changed.writeUInt16BE(bytes + MARK_BYTES, l4 + 4);
  setLength(changed, ip, ip.l4Bytes + MARK_BYTES);
  return changed;
}

export function withoutUdpMark(frame: Buffer, ip: Ip): Buffer {
  const { l4 } = ip;
  const changed = Buffer.concat([frame.subarray(0, l4 + 8), frame.subarray(l4 + 8 + MARK_BYTES)]);
  const check = frame.readUInt16BE(l4 + 6);
  if (check !== 0) changed.writeUInt16BE(fold(check + 32 + total(frame, l4 + 8, l4 + 24)), l4 + 6);
  changed.writeUInt16BE(frame.readUInt16BE(l4 + 4) - MARK_BYTES, l4 + 4);
  setLength(changed, ip, ip.l4Bytes - MARK_BYTES);
  return changed;
}

/** Undefined when the header has no room, or data follows it. */
export function withTcpMark(
  frame: Buffer,
  ip: Ip,
  tcp: Tcp,
  slot: Slot,
  advertised: number,
): Buffer | undefined {
  const { l4, l4Bytes: bytes } = ip;
  if (bytes !== tcp.headerBytes || bytes + MARK_BYTES > 60) return undefined;
  const option = Buffer.from("fd105652".padEnd(2 * MARK_BYTES, "0"), "hex");
  option.writeUInt32BE(packSender(slot.version), 4);
  option.writeUInt32BE(advertisementOf(slot, advertised), 8);
  option.writeUInt16BE(slot.tag, 12);
  const changed = Buffer.concat([frame.subarray(0, l4 + bytes), option]);
  changed.writeUInt8(changed.readUInt8(l4 + 12) + 0x40, l4 + 12);
  const removed = total(frame, l4 + 12, l4 + 14) + bytes;
  const added = total(changed, l4 + 12, l4 + 14) + total(option, 0, MARK_BYTES) + bytes + MARK_BYTES;
  changed.writeUInt16BE(adjust(frame.readUInt16BE(l4 + 16), removed, added), l4 + 16);
  setLength(changed, ip, bytes + MARK_BYTES);
  return changed;
}

/** The segment turned into a reset that goes on in its direction. */
export function asReset(frame: Buffer, ip: Ip): Buffer {
  const { l4, isV6 } = ip;
  const reset = Buffer.from(frame.subarray(0, l4 + 20));
  const header = isV6
    ? [0x60, 0, 0, 0, 0, 20, PROTOCOL.tcp, 64]
    : [0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, PROTOCOL.tcp, 0, 0];
  reset.set(header, IP);
  if (!isV6) reset.writeUInt16BE(0xffff - fold(total(reset, 14, 34)), 24);
  reset.writeUInt8(0x50, l4 + 12);
  reset.writeUInt8(RST | (frame.readUInt8(l4 + 13) & ACK), l4 + 13);
  reset.fill(0, l4 + 14, l4 + 20);
  const pseudo = fold(pseudoTotal(reset, ip, 20));
  // The window is chosen such that the finished checksum is the pseudo header's sum.
  reset.writeUInt16BE(0xffff - fold(total(reset, l4, l4 + 20) + 2 * pseudo), l4 + 14);
  reset.writeUInt16BE(pseudo, l4 + 16);
  return reset;
}

/** The reset that answers a segment (RFC 9293, 3.10.7.1). */
export function resetFor(frame: Buffer, ip: Ip, tcp: Tcp): Buffer {
  const { l4 } = ip;
  const answer = Buffer.from(frame.subarray(0, l4 + 20));
  frame.copy(answer, 0, 6, 12);
  frame.copy(answer, 6, 0, 6);
  const [first, bytes] = ip.isV6 ? [22, 16] : [26, 4];
  frame.copy(answer, first, first + bytes, first + 2 * bytes);
  frame.copy(answer, first + bytes, first, first + bytes);
  answer.writeUInt16BE(tcp.to, l4);
  answer.writeUInt16BE(tcp.from, l4 + 2);
  const occupies = ip.l4Bytes - tcp.headerBytes + (tcp.flags & SYN ? 1 : 0) + (tcp.flags & FIN ? 1 : 0);
  answer.writeUInt32BE(tcp.flags & ACK ? tcp.acknowledges : 0, l4 + 4);
  answer.writeUInt32BE((tcp.sequence + occupies) >>> 0, l4 + 8);
  answer.writeUInt8(ACK, l4 + 13);
  return asReset(answer, ip);
}
