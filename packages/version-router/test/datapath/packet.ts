/** Makes and checks packets for the tests that hand single packets to the programs. */

const ETHERNET_BYTES = 14;
const IP_BYTES = 20;
const PROTOCOLS = { tcp: 6, udp: 17 } as const;

export const FLAGS = { fin: 0x01, syn: 0x02, rst: 0x04, ack: 0x10 } as const;

export interface PacketPlan {
  readonly protocol: "tcp" | "udp";
  readonly from: string;
  readonly to: string;
  readonly fromPort: number;
  readonly toPort: number;
  readonly payload?: Uint8Array;
  /** TCP */
  readonly flags?: number;
  readonly sequence?: number;
  readonly acknowledgement?: number;
  readonly options?: Uint8Array;
  /** `partial` leaves the pseudo header's sum in the field, as a stack does for the network card. */
  readonly checksum?: "complete" | "partial" | "none";
}

/** One's-complement sum of 16-bit words, folded. */
export function sum(bytes: Uint8Array): number {
  let total = 0;
  for (let at = 0; at < bytes.length; at += 2) total += ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
  while (total > 0xffff) total = (total & 0xffff) + (total >>> 16);
  return total;
}

function pseudoHeader(ip: Buffer, bytes: number): Buffer {
  const header = Buffer.alloc(12);
  ip.copy(header, 0, 12, 20);
  header.writeUInt8(ip.readUInt8(9), 9);
  header.writeUInt16BE(bytes, 10);
  return header;
}

function segmentOf(plan: PacketPlan): { segment: Buffer; checksumAt: number } {
  const { fromPort, toPort, payload = new Uint8Array(), options = new Uint8Array() } = plan;
  const ports = Buffer.alloc(4);
  ports.writeUInt16BE(fromPort, 0);
  ports.writeUInt16BE(toPort, 2);
  if (plan.protocol === "udp") {
    const rest = Buffer.alloc(4);
    rest.writeUInt16BE(8 + payload.length, 0);
    return { segment: Buffer.concat([ports, rest, payload]), checksumAt: 6 };
  }
  const rest = Buffer.alloc(16);
  rest.writeUInt32BE(plan.sequence ?? 1, 0);
  rest.writeUInt32BE(plan.acknowledgement ?? 0, 4);
  rest.writeUInt8(((20 + options.length) / 4) << 4, 8);
  rest.writeUInt8(plan.flags ?? 0, 9);
  rest.writeUInt16BE(64_240, 10);
  return { segment: Buffer.concat([ports, rest, options, payload]), checksumAt: 16 };
}

/** An Ethernet frame. */
export function makePacket(plan: PacketPlan): Buffer {
  const { segment, checksumAt } = segmentOf(plan);
  const ip = Buffer.alloc(IP_BYTES);
  ip.writeUInt8(0x45, 0);
  ip.writeUInt16BE(IP_BYTES + segment.length, 2);
  ip.writeUInt16BE(0x4000, 6);
  ip.writeUInt8(64, 8);
  ip.writeUInt8(PROTOCOLS[plan.protocol], 9);
  ip.set(plan.from.split(".").map(Number), 12);
  ip.set(plan.to.split(".").map(Number), 16);
  ip.writeUInt16BE(~sum(ip) & 0xffff, 10);
  const pseudo = pseudoHeader(ip, segment.length);
  const mode = plan.checksum ?? "complete";
  if (mode === "partial") segment.writeUInt16BE(sum(pseudo), checksumAt);
  if (mode === "complete") {
    segment.writeUInt16BE(~sum(Buffer.concat([pseudo, segment])) & 0xffff || 0xffff, checksumAt);
  }
  const ethernet = Buffer.from("5254000000015254000000020800", "hex");
  return Buffer.concat([ethernet, ip, segment]);
}

export interface ParsedPacket {
  readonly from: string;
  readonly to: string;
  readonly ipChecksumIsRight: boolean;
  readonly checksumIsRight: boolean;
  /** As it stands in the field. */
  readonly checksum: number;
  readonly fromPort: number;
  readonly toPort: number;
  readonly flags: number;
  readonly sequence: number;
  readonly acknowledgement: number;
  readonly options: Buffer;
  readonly payload: Buffer;
}

export function parsePacket(frame: Buffer): ParsedPacket {
  const ip = frame.subarray(ETHERNET_BYTES, ETHERNET_BYTES + IP_BYTES);
  const bytes = ip.readUInt16BE(2) - IP_BYTES;
  const segment = frame.subarray(ETHERNET_BYTES + IP_BYTES, ETHERNET_BYTES + IP_BYTES + bytes);
  const isUdp = ip.readUInt8(9) === PROTOCOLS.udp;
  if (isUdp && segment.readUInt16BE(4) !== bytes) throw new Error("the lengths of UDP and IP disagree");
  const header = isUdp ? 8 : (segment.readUInt8(12) >>> 4) * 4;
  return {
    from: ip.subarray(12, 16).join("."),
    to: ip.subarray(16, 20).join("."),
    ipChecksumIsRight: sum(ip) === 0xffff,
    checksumIsRight: sum(Buffer.concat([pseudoHeader(ip, bytes), segment])) === 0xffff,
    checksum: segment.readUInt16BE(isUdp ? 6 : 16),
    fromPort: segment.readUInt16BE(0),
    toPort: segment.readUInt16BE(2),
    flags: isUdp ? 0 : segment.readUInt8(13),
    sequence: isUdp ? 0 : segment.readUInt32BE(4),
    acknowledgement: isUdp ? 0 : segment.readUInt32BE(8),
    options: isUdp ? Buffer.alloc(0) : segment.subarray(20, header),
    payload: segment.subarray(header),
  };
}

/** What a network card does with a checksum left to it: sums from `startAt` to the end, writes at `startAt + fieldAt`. */
export function finishChecksum(frame: Buffer, startAt: number, fieldAt: number): Buffer {
  const done = Buffer.from(frame);
  done.writeUInt16BE(~sum(done.subarray(startAt)) & 0xffff || 0xffff, startAt + fieldAt);
  return done;
}
