/** Random packets that look like traffic: right sums, likely addresses, flags that make sense in their order. */
import { CFS, IPV4, IPV6, KV, OWN_PORT, PORTS, STRANGE_TAG } from "./fixture.ts";
import { bytesOf, mapped } from "./model/address.ts";
import { fold, total } from "./model/sums.ts";
import { GATEWAY, GATEWAY6, PROTOCOL } from "./model/world.ts";
import type { People } from "./fixture.ts";
import type { Random } from "./random.ts";

const IP_AT = 14;
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
  readonly isV6: boolean;
  readonly us: string;
  readonly remote: string;
  readonly localPort: number;
  readonly remotePort: number;
  /** The slot whose domain mostly takes part. */
  readonly number: number;
}

export function randomTuple(random: Random): Tuple {
  const isV6 = random.chance(0.5);
  const people = isV6 ? IPV6 : IPV4;
  return { isV6, us: people.us, ...randomEnds(random, people) };
}

function randomEnds(random: Random, people: People): Omit<Tuple, "isV6" | "us"> {
  const { peers, unmanaged, client } = people;
  const number = random.pick([0, 0, 1, 1, 2, 3]);
  const own = OWN_PORT + number * 768 + random.below(3);
  const other = 40_000 + random.below(3);
  const peer = random.pick([...peers, peers[0], unmanaged]);
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
        remote: client,
        localPort: random.pick([80, 80, 81, 7005]),
        remotePort: other,
        number,
      };
    case 5:
      return {
        protocol: "udp",
        remote: client,
        localPort: random.pick([53, 54, 7001, 9001]),
        remotePort: other,
        number,
      };
    default: {
      const remote = random.pick([...peers, unmanaged, client]);
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
  header.writeUInt8(random.pick(tuple.isV6 ? [2, 2, 1, 3, 4, 0, 128, 129] : [3, 3, 11, 12, 0, 8, 5]), 0);
  header.writeUInt8(random.pick([0, 1, 3, 4]), 1);
  header.writeUInt16BE(random.pick([0, 576, 1280, 1290, 1296, 1297, 1400, 1484]), 6);
  const quote = about.subarray(IP_AT, IP_AT + random.pick([20, 24, 28, 40, 44, 48, 64, 80, 600]));
  const segment = Buffer.concat([header, quote]);
  if (tuple.isV6) {
    if (quote.length >= 40 && random.chance(0.05)) bytesOf(mapped(0x0a4e0002), true).copy(segment, 8 + 24);
    return seal(random, PROTOCOL.icmp6, tuple, isOutward, segment, 2);
  }
  segment.writeUInt16BE(0xffff - fold(total(segment, 0, segment.length)), 2);
  return seal(random, PROTOCOL.icmp, tuple, isOutward, segment, undefined);
}

export function arpPacket(random: Random): Buffer {
  const arp = Buffer.from(
    "ffffffffffff020000000001080600010800060400010200000000010a4e0001000000000000a9fe0101",
    "hex",
  );
  if (random.chance(0.3)) arp.writeUInt8(random.below(256), 14 + random.below(28));
  if (random.chance(0.3)) bytesOf(IPV4.us, false).copy(arp, 38);
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
  const { isV6, us } = tuple;
  const remote = isOutward && random.chance(0.02) ? (isV6 ? GATEWAY6 : GATEWAY) : remoteOf(random, tuple);
  const [from, to] = (isOutward ? [us, remote] : [remote, us]).map((address) => bytesOf(address, isV6));
  const addresses = Buffer.concat([from ?? Buffer.alloc(0), to ?? Buffer.alloc(0)]);
  if (checkAt !== undefined) {
    const pseudo = total(addresses, 0, addresses.length) + protocol + segment.length;
    segment.writeUInt16BE(randomSum(random, pseudo, pseudo + total(segment, 0, segment.length)), checkAt);
  }
  const header = isV6
    ? ipv6Header(random, protocol, addresses, segment.length)
    : ipv4Header(random, protocol, addresses, segment.length);
  const ethernet = Buffer.from(isV6 ? "02540000000102540000000286dd" : "0254000000010254000000020800", "hex");
  const frame = Buffer.concat([ethernet, header, segment]);
  return isV6 && random.chance(0.05) ? withExtension(random, frame) : frame;
}

/** Hostile ones, too: addresses of the link, of groups, of other nodes' insides, and IPv4 in disguise. */
function remoteOf(random: Random, { isV6, remote }: Tuple): string {
  if (!isV6 || random.chance(0.95)) return remote;
  return random.pick([
    "fe800000000000000000000000000005",
    "ff020000000000000000000000000001",
    "00000000000000000000000000000000",
    "00000000000000000000000000000001",
    "fd5652aa6f3d00010000000000000002",
    IPV6.us,
    ...IPV4.peers,
  ]);
}

function randomSum(random: Random, pseudo: number, whole: number): number {
  const kind = random.below(10);
  if (kind < 6) return 0xffff - fold(whole) || 0xffff;
  if (kind < 8) return fold(pseudo);
  return kind < 9 ? 0 : random.pick([0xffff, random.below(0x10000)]);
}

function ipv4Header(random: Random, protocol: number, addresses: Buffer, bytes: number): Buffer {
  const header = Buffer.alloc(20);
  header.writeUInt8(0x45, 0);
  header.writeUInt16BE(20 + bytes, 2);
  header.writeUInt16BE(random.below(0x10000), 4);
  header.writeUInt16BE(0x4000, 6);
  header.writeUInt8(1 + random.below(255), 8);
  header.writeUInt8(protocol, 9);
  addresses.copy(header, 12);
  header.writeUInt16BE(0xffff - fold(total(header, 0, 20)), 10);
  return header;
}

function ipv6Header(random: Random, protocol: number, addresses: Buffer, bytes: number): Buffer {
  const header = Buffer.alloc(40);
  header.writeUInt32BE(0x60000000 + (random.chance(0.3) ? random.below(0x10000000) : 0), 0);
  header.writeUInt16BE(bytes, 4);
  header.writeUInt8(protocol, 6);
  header.writeUInt8(1 + random.below(255), 7);
  addresses.copy(header, 8);
  return header;
}

/** A header of eight bytes between IPv6's and the next: hop by hop, routing, options, or of the first or a later fragment. */
function withExtension(random: Random, frame: Buffer): Buffer {
  const kind = random.pick([44, 44, 44, 0, 43, 60, 51, 59, 135]);
  const extension = Buffer.alloc(8);
  extension.writeUInt8(frame.readUInt8(20), 0);
  if (kind === 44) extension.writeUInt16BE(random.pick([1, 0, 8, 0x05a8, 0x05a9]), 2);
  const grown = Buffer.concat([frame.subarray(0, 54), extension, frame.subarray(54)]);
  grown.writeUInt8(kind, 20);
  grown.writeUInt16BE(frame.readUInt16BE(18) + 8, 18);
  return grown;
}

/** What a domain says to its link: questions for the gateway, about its own address, for routers; and answers. */
export function neighbourPacket(random: Random): Buffer {
  const asker = random.pick([IPV6.us, "fe8000000000000050540000fe000001", "".padEnd(32, "0"), IPV6.peers[0]]);
  const target = random.pick([GATEWAY6, GATEWAY6, GATEWAY6, IPV6.us, "fe8000000000000050540000fe000001"]);
  const to = random.pick(["ff0200000000000000000001ff000001", GATEWAY6, "ff020000000000000000000000000002"]);
  const message = Buffer.alloc(24 + random.pick([0, 8, 8, 8]));
  message.writeUInt8(random.pick([135, 135, 135, 135, 133, 136, 143]), 0);
  bytesOf(target, true).copy(message, 8);
  if (message.length > 24) message.set([1, 1, 2, 0x54, 0, 0, 0, 2], 24);
  const addresses = Buffer.concat([bytesOf(asker, true), bytesOf(to, true)]);
  const header = ipv6Header(random, PROTOCOL.icmp6, addresses, message.length);
  header.writeUInt8(random.chance(0.9) ? 255 : 64, 7);
  const whole = total(addresses, 0, 32) + PROTOCOL.icmp6 + message.length + total(message, 0, message.length);
  message.writeUInt16BE(0xffff - fold(whole), 2);
  return Buffer.concat([Buffer.from("3333ff00000102540000000286dd", "hex"), header, message]);
}
