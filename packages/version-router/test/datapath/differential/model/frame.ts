/** Reading and rewriting frames. Offsets are those of Ethernet, IPv4 without options, and what follows. */
import { decodeUdpMark, findTcpMark, packAdvertisement, packSender } from "../../../../mark/index.ts";
import { adjust, fold, halved, residue, total, wordsOf } from "./sums.ts";
import { PROTOCOL } from "./world.ts";
import type { Mark } from "../../../../mark/index.ts";
import type { Slot } from "./world.ts";

export const ETHERTYPE = { ip: 0x0800, arp: 0x0806, ipv6: 0x86dd } as const;
export const L4 = 34;
export const MARK_BYTES = 16;
export const FIN = 1;
export const SYN = 2;
export const RST = 4;
export const ACK = 16;

export interface Outcome {
  readonly action: "pass" | "drop" | "redirect";
  readonly frame: Buffer;
}

export function ethertype(frame: Buffer): number {
  return frame.readUInt16BE(12);
}

export interface Ip {
  readonly isPlain: boolean;
  readonly totalBytes: number;
  readonly isFragment: boolean;
  readonly isLaterFragment: boolean;
  readonly protocol: number;
  readonly from: number;
  readonly to: number;
}

/** Undefined when the frame is too short for the header. */
export function readIp(frame: Buffer): Ip | undefined {
  if (frame.length < L4) return undefined;
  const fragment = frame.readUInt16BE(20);
  return {
    isPlain: frame[14] === 0x45,
    totalBytes: frame.readUInt16BE(16),
    isFragment: (fragment & 0x3fff) !== 0,
    isLaterFragment: (fragment & 0x1fff) !== 0,
    protocol: frame.readUInt8(23),
    from: frame.readUInt32BE(26),
    to: frame.readUInt32BE(30),
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

export function readTcp(frame: Buffer): Tcp | undefined {
  if (frame.length < L4 + 20) return undefined;
  const headerBytes = (frame.readUInt8(L4 + 12) >>> 4) * 4;
  const flags = frame.readUInt8(L4 + 13);
  return {
    from: frame.readUInt16BE(L4),
    to: frame.readUInt16BE(L4 + 2),
    sequence: frame.readUInt32BE(L4 + 4),
    acknowledges: frame.readUInt32BE(L4 + 8),
    headerBytes,
    flags,
    isAbsurd: headerBytes < 20 || ((flags & SYN) !== 0 && (flags & (FIN | RST)) !== 0),
  };
}

export function tcpMark(frame: Buffer, tcp: Tcp): Mark | undefined {
  return findTcpMark(frame.subarray(L4 + 20, L4 + tcp.headerBytes));
}

export interface Udp {
  readonly from: number;
  readonly to: number;
  readonly bytes: number;
  readonly check: number;
  readonly mark: Mark | undefined;
}

export function readUdp(frame: Buffer, ip: Ip): Udp | undefined {
  if (frame.length < L4 + 8) return undefined;
  const bytes = frame.readUInt16BE(L4 + 4);
  const holdsMark = bytes >= 8 + MARK_BYTES && bytes + 20 <= ip.totalBytes;
  return {
    from: frame.readUInt16BE(L4),
    to: frame.readUInt16BE(L4 + 2),
    bytes,
    check: frame.readUInt16BE(L4 + 6),
    mark: holdsMark ? decodeUdpMark(frame.subarray(L4 + 8)) : undefined,
  };
}

function pseudoTotal(frame: Buffer, bytes: number): number {
  return total(frame, 26, 34) + frame.readUInt8(23) + bytes;
}

function setTotalLength(frame: Buffer, bytes: number): void {
  const before = frame.readUInt16BE(16);
  frame.writeUInt16BE(adjust(frame.readUInt16BE(24), before, bytes), 24);
  frame.writeUInt16BE(bytes, 16);
}

/** Undefined when the checksum that covers the address is cut off. `at` is 26 or 30. */
export function withAddress(
  frame: Buffer,
  protocol: number,
  at: number,
  address: number,
): Buffer | undefined {
  const changed = Buffer.from(frame);
  const removed = wordsOf(frame.readUInt32BE(at));
  const checkAt = protocol === PROTOCOL.tcp ? L4 + 16 : protocol === PROTOCOL.udp ? L4 + 6 : undefined;
  if (checkAt !== undefined) {
    if (frame.length < checkAt + 2) return undefined;
    const check = frame.readUInt16BE(checkAt);
    const isUdp = protocol === PROTOCOL.udp;
    const next = adjust(check, removed, wordsOf(address));
    if (!isUdp) changed.writeUInt16BE(next, checkAt);
    else if (check !== 0) changed.writeUInt16BE(next === 0 ? 0xffff : next, checkAt);
  }
  changed.writeUInt16BE(adjust(frame.readUInt16BE(24), removed, wordsOf(address)), 24);
  changed.writeUInt32BE(address, at);
  return changed;
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
export function withUdpMark(frame: Buffer, slot: Slot, advertised: number): Buffer {
  const bytes = frame.readUInt16BE(L4 + 4);
  const mark = Buffer.alloc(MARK_BYTES);
  mark.writeUInt16BE(0x5652, 0);
  mark.writeUInt16BE(slot.tag, 2);
  mark.writeUInt32BE(packSender(slot.version), 4);
  mark.writeUInt32BE(advertisementOf(slot, advertised), 8);
  const changed = Buffer.concat([frame.subarray(0, L4 + 8), mark, frame.subarray(L4 + 8)]);
  const check = frame.readUInt16BE(L4 + 6);
  if (check !== 0) {
    const pseudo = pseudoTotal(frame, bytes);
    const header = total(frame, L4, L4 + 6);
    const first = total(mark, 0, 8);
    const twice = residue(check - pseudo - header - 64 - 2 * first - total(mark, 8, 14));
    const next = halved(twice);
    changed.writeUInt16BE(next, L4 + 6);
    changed.writeUInt16BE(fold(next + pseudo + 32 + header + first), L4 + 8 + 14);
  }
  changed.writeUInt16BE(bytes + MARK_BYTES, L4 + 4);
  setTotalLength(changed, frame.readUInt16BE(16) + MARK_BYTES);
  return changed;
}

export function withoutUdpMark(frame: Buffer): Buffer {
  const changed = Buffer.concat([frame.subarray(0, L4 + 8), frame.subarray(L4 + 8 + MARK_BYTES)]);
  const check = frame.readUInt16BE(L4 + 6);
  if (check !== 0) changed.writeUInt16BE(fold(check + 32 + total(frame, L4 + 8, L4 + 24)), L4 + 6);
  changed.writeUInt16BE(frame.readUInt16BE(L4 + 4) - MARK_BYTES, L4 + 4);
  setTotalLength(changed, frame.readUInt16BE(16) - MARK_BYTES);
  return changed;
}

/** Undefined when the header has no room, or data follows it. */
export function withTcpMark(frame: Buffer, tcp: Tcp, slot: Slot, advertised: number): Buffer | undefined {
  const bytes = frame.readUInt16BE(16) - 20;
  if (bytes !== tcp.headerBytes || bytes + MARK_BYTES > 60) return undefined;
  const option = Buffer.from("fd105652".padEnd(2 * MARK_BYTES, "0"), "hex");
  option.writeUInt32BE(packSender(slot.version), 4);
  option.writeUInt32BE(advertisementOf(slot, advertised), 8);
  option.writeUInt16BE(slot.tag, 12);
  const changed = Buffer.concat([frame.subarray(0, L4 + bytes), option]);
  changed.writeUInt8(changed.readUInt8(L4 + 12) + 0x40, L4 + 12);
  const removed = total(frame, L4 + 12, L4 + 14) + bytes;
  const added = total(changed, L4 + 12, L4 + 14) + total(option, 0, MARK_BYTES) + bytes + MARK_BYTES;
  changed.writeUInt16BE(adjust(frame.readUInt16BE(L4 + 16), removed, added), L4 + 16);
  setTotalLength(changed, 20 + bytes + MARK_BYTES);
  return changed;
}

/** The segment turned into a reset that goes on in its direction. */
export function asReset(frame: Buffer): Buffer {
  const reset = Buffer.from(frame.subarray(0, L4 + 20));
  const ip = [0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, PROTOCOL.tcp, 0, 0];
  reset.set(ip, 14);
  reset.writeUInt16BE(0xffff - fold(total(reset, 14, 34)), 24);
  reset.writeUInt8(0x50, L4 + 12);
  reset.writeUInt8(RST | (frame.readUInt8(L4 + 13) & ACK), L4 + 13);
  reset.fill(0, L4 + 14, L4 + 20);
  const pseudo = fold(pseudoTotal(reset, 20));
  // The window is chosen such that the finished checksum is the pseudo header's sum.
  reset.writeUInt16BE(0xffff - fold(total(reset, L4, L4 + 20) + 2 * pseudo), L4 + 14);
  reset.writeUInt16BE(pseudo, L4 + 16);
  return reset;
}

/** The reset that answers a segment (RFC 9293, 3.10.7.1). */
export function resetFor(frame: Buffer, tcp: Tcp): Buffer {
  const answer = Buffer.from(frame.subarray(0, L4 + 20));
  frame.copy(answer, 0, 6, 12);
  frame.copy(answer, 6, 0, 6);
  frame.copy(answer, 26, 30, 34);
  frame.copy(answer, 30, 26, 30);
  answer.writeUInt16BE(tcp.to, L4);
  answer.writeUInt16BE(tcp.from, L4 + 2);
  const occupies =
    frame.readUInt16BE(16) - 20 - tcp.headerBytes + (tcp.flags & SYN ? 1 : 0) + (tcp.flags & FIN ? 1 : 0);
  answer.writeUInt32BE(tcp.flags & ACK ? tcp.acknowledges : 0, L4 + 4);
  answer.writeUInt32BE((tcp.sequence + occupies) >>> 0, L4 + 8);
  answer.writeUInt8(ACK, L4 + 13);
  return asReset(answer);
}
