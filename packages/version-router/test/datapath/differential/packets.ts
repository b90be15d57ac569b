/** Random packets that look like traffic: right sums, likely addresses, flags that make sense in their order. */
import { CFS, CLIENT, KV, OWN_PORT, PEERS, PORTS, STRANGE_TAG, UNMANAGED, US } from "./fixture.ts";
import { fold, total } from "./model/sums.ts";
import { GATEWAY, PROTOCOL } from "./model/world.ts";
import type { Random } from "./random.ts";

const L4 = 34;
const FLAGS = [
  0x02, 0x02, 0x12, 0x12, 0x10, 0x10, 0x10, 0x18, 0x11, 0x04, 0x14, 0x03, 0x06, 0x00, 0x29, 0xc2,
] as const;
const SYN_OPTIONS = [
  "020405b4",
  "0402080a0123456700000000",
  "01030307",
  "22020101",
  "fd0400000101",
  "0101",
  "00000000",
];

/** Who may talk to whom: two addresses and ports, and what they will mostly speak. */
export interface Tuple {
  readonly protocol: "tcp" | "udp" | "any";
  readonly remote: number;
  readonly localPort: number;
  readonly remotePort: number;
  /** The slot whose domain mostly takes part. */
  readonly number: number;
}

export function randomTuple(random: Random): Tuple {
  const number = random.pick([0, 0, 1, 1, 2, 3]);
  const own = OWN_PORT + number * 768 + random.below(3);
  const other = 40_000 + random.below(3);
  const peer = random.pick([...PEERS, PEERS[0], UNMANAGED]);
  const [tcpPort, udpPort] = number === 3 ? ([9000, 9001] as const) : ([7000, 7001] as const);
  switch (random.below(7)) {
    case 0:
      return { protocol: "tcp", remote: peer, localPort: tcpPort, remotePort: other, number };
    case 1:
      return { protocol: "tcp", remote: peer, localPort: own, remotePort: tcpPort, number };
    case 2:
      return {
        protocol: "udp",
        remote: peer,
        localPort: udpPort,
        remotePort: random.pick([udpPort, other]),
        number,
      };
    case 3:
      return { protocol: "udp", remote: peer, localPort: own, remotePort: udpPort, number };
    case 4:
      return {
        protocol: "tcp",
        remote: CLIENT,
        localPort: random.pick([80, 80, 81, 7005]),
        remotePort: other,
        number,
      };
    case 5:
      return {
        protocol: "udp",
        remote: CLIENT,
        localPort: random.pick([53, 54, 7001, 9001]),
        remotePort: other,
        number,
      };
    default: {
      const remote = random.pick([...PEERS, UNMANAGED, CLIENT]);
      return {
        protocol: "any",
        remote,
        localPort: random.pick(PORTS),
        remotePort: random.pick(PORTS),
        number,
      };
    }
  }
}

export function tcpPacket(random: Random, tuple: Tuple, isOutward: boolean): Buffer {
  const flags = random.pick(FLAGS);
  const options = tcpOptions(random, (flags & 2) !== 0, !isOutward || random.chance(0.05));
  const data = flags & 2 && random.chance(0.95) ? Buffer.alloc(0) : randomData(random);
  const header = Buffer.alloc(20);
  writePorts(header, tuple, isOutward);
  header.writeUInt32BE(random.pick([1000, 2000, 0xffffffff, random.word()]), 4);
  header.writeUInt32BE(random.pick([1001, 1001, 2001, 0, 1500, random.word()]), 8);
  header.writeUInt8((20 + options.length) << 2, 12);
  header.writeUInt8(flags, 13);
  header.writeUInt16BE(64_240, 14);
  return seal(random, PROTOCOL.tcp, tuple, isOutward, Buffer.concat([header, options, data]), 16);
}

export function udpPacket(
  random: Random,
  tuple: Tuple,
  isOutward: boolean,
  markedShare = isOutward ? 0.1 : 0.7,
): Buffer {
  const withMark = random.chance(markedShare);
  const data = Buffer.concat([withMark ? mark(random) : Buffer.alloc(0), randomData(random)]);
  const header = Buffer.alloc(8);
  writePorts(header, tuple, isOutward);
  header.writeUInt16BE(8 + data.length, 4);
  return seal(random, PROTOCOL.udp, tuple, isOutward, Buffer.concat([header, data]), 6);
}

/** An error about a packet of the tuple that went the other way. */
export function icmpPacket(random: Random, tuple: Tuple, isOutward: boolean): Buffer {
  const about = random.chance(0.5)
    ? tcpPacket(random, tuple, !isOutward)
    : udpPacket(random, tuple, !isOutward, 0.8);
  const header = Buffer.alloc(8);
  header.writeUInt8(random.pick([3, 3, 11, 12, 0, 8, 5]), 0);
  header.writeUInt8(random.pick([0, 1, 3, 4]), 1);
  header.writeUInt16BE(random.pick([0, 576, 1400, 1484]), 6);
  const quote = about.subarray(14, 14 + random.pick([20, 24, 28, 44, 60, 600]));
  const segment = Buffer.concat([header, quote]);
  segment.writeUInt16BE(0xffff - fold(total(segment, 0, segment.length)), 2);
  return seal(random, PROTOCOL.icmp, tuple, isOutward, segment, undefined);
}

export function arpPacket(random: Random): Buffer {
  const arp = Buffer.from(
    "ffffffffffff020000000001080600010800060400010200000000010a4e0001000000000000a9fe0101",
    "hex",
  );
  if (random.chance(0.3)) arp.writeUInt8(random.below(256), 14 + random.below(28));
  if (random.chance(0.3)) arp.writeUInt32BE(US, 38);
  return Buffer.concat([arp, Buffer.alloc(random.pick([0, 0, 18]))]);
}

/** A header as the kernel or an honest peer writes it, or one with something wrong. */
function mark(random: Random): Buffer {
  const bytes = Buffer.alloc(16);
  bytes.writeUInt16BE(random.chance(0.95) ? 0x5652 : random.below(0x10000), 0);
  bytes.writeUInt16BE(randomTag(random), 2);
  bytes.writeUInt32BE(senderWord(random), 4);
  bytes.writeUInt32BE(advertisementWord(random), 8);
  bytes.writeUInt16BE(random.chance(0.8) ? 0 : random.below(0x10000), 12);
  bytes.writeUInt16BE(random.below(0x10000), 14);
  return bytes.subarray(0, random.chance(0.95) ? 16 : random.below(16));
}

function tcpOptions(random: Random, isSyn: boolean, maySpeakMarks: boolean): Buffer {
  const parts: Buffer[] = [];
  const count = random.below(4);
  for (let at = 0; at < count; at += 1) {
    const hex = random.pick(SYN_OPTIONS as [string, ...string[]]);
    parts.push(random.chance(0.9) ? Buffer.from(hex, "hex") : random.bytes(random.below(12)));
  }
  if (isSyn && maySpeakMarks && random.chance(0.75)) {
    const option = Buffer.alloc(16);
    option.writeUInt8(random.chance(0.97) ? 253 : 254, 0);
    option.writeUInt8(random.chance(0.97) ? 16 : random.below(256), 1);
    option.writeUInt16BE(random.chance(0.97) ? 0x5652 : 0x5653, 2);
    option.writeUInt32BE(senderWord(random), 4);
    option.writeUInt32BE(advertisementWord(random), 8);
    option.writeUInt16BE(randomTag(random), 12);
    parts.splice(random.below(parts.length + 1), 0, option);
  }
  const options = Buffer.concat(parts).subarray(0, 40);
  return Buffer.concat([options, Buffer.alloc((4 - (options.length % 4)) % 4, 1)]);
}

function senderWord(random: Random): number {
  const version = random.pick([1, 1, 2, 2, 3, 4, 7, 0, 0x0fffffff, random.below(0x10000000)]);
  return ((random.chance(0.95) ? 1 : random.below(16)) * 0x10000000 + version) >>> 0;
}

function advertisementWord(random: Random): number {
  const status = random.chance(0.9) ? 1 + random.below(4) : random.below(16);
  return (status * 0x10000000 + random.pick([1, 2, 3, 9, 0])) >>> 0;
}

function randomTag(random: Random): number {
  return random.pick([KV, KV, KV, KV, CFS, STRANGE_TAG, 0, random.below(0x10000)]);
}

function randomData(random: Random): Buffer {
  const size = random.pick([0, 1, 2, 5, 16, 17, 40, 200, 1456, 1457, 1472]);
  return size <= 40 ? random.bytes(size) : Buffer.alloc(size, random.below(256));
}

function writePorts(header: Buffer, tuple: Tuple, isOutward: boolean): void {
  header.writeUInt16BE(isOutward ? tuple.localPort : tuple.remotePort, 0);
  header.writeUInt16BE(isOutward ? tuple.remotePort : tuple.localPort, 2);
}

/** Ethernet, IP, and a sum: complete, left to the card, none, or wrong. */
function seal(
  random: Random,
  protocol: number,
  tuple: Tuple,
  isOutward: boolean,
  segment: Buffer,
  checkAt: number | undefined,
): Buffer {
  const frame = Buffer.alloc(L4 + segment.length);
  Buffer.from("0254000000010254000000020800", "hex").copy(frame);
  frame.writeUInt8(0x45, 14);
  frame.writeUInt16BE(20 + segment.length, 16);
  frame.writeUInt16BE(random.below(0x10000), 18);
  frame.writeUInt16BE(0x4000, 20);
  frame.writeUInt8(1 + random.below(255), 22);
  frame.writeUInt8(protocol, 23);
  const remote = isOutward && random.chance(0.02) ? GATEWAY : tuple.remote;
  frame.writeUInt32BE(isOutward ? US : remote, 26);
  frame.writeUInt32BE(isOutward ? remote : US, 30);
  frame.writeUInt16BE(0xffff - fold(total(frame, 14, L4)), 24);
  segment.copy(frame, L4);
  if (checkAt === undefined) return frame;
  const pseudo = total(frame, 26, L4) + protocol + segment.length;
  const complete = 0xffff - fold(pseudo + total(segment, 0, segment.length));
  const kind = random.below(10);
  const check =
    kind < 6
      ? complete || 0xffff
      : kind < 8
        ? fold(pseudo)
        : kind < 9
          ? 0
          : random.pick([0xffff, random.below(0x10000)]);
  frame.writeUInt16BE(check, L4 + checkAt);
  return frame;
}
