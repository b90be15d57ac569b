/** Chooses the next step of a sequence: a packet that may follow from earlier ones, a broken one, or a change. */
import { CFS, IPV4, IPV6, KV, managementOf, managementOf6, randomChange } from "./fixture.ts";
import { bytesOf } from "./model/address.ts";
import { fold, total } from "./model/sums.ts";
import { arpPacket, icmpPacket, neighbourPacket, randomTuple, tcpPacket, udpPacket } from "./packets.ts";
import { readIp } from "./model/frame.ts";
import type { Outcome } from "./model/frame.ts";
import type { Tuple } from "./packets.ts";
import type { Random } from "./random.ts";
import type { Origin, PacketStep, ProgramName, Step } from "./steps.ts";

const CHANGE_SHARE = 0.02;
const TUPLES_REMEMBERED = 6;
/** BPF_PROG_TEST_RUN refuses less than the header that the type of frame promises. */
const FRAME_BYTES_MIN: Readonly<Record<number, number>> = { 0x0800: 34, 0x86dd: 54 };
const HEADER_BYTES = 14;
/** Places where a changed byte changes a decision: lengths, flags, addresses, ports, marks. */
const TENDER = [
  12, 13, 14, 16, 17, 20, 21, 23, 26, 29, 30, 33, 34, 35, 36, 37, 38, 39, 42, 43, 44, 46, 47, 48, 54, 56,
] as const;
const TENDER6 = [
  12, 13, 14, 18, 19, 20, 21, 22, 25, 37, 38, 41, 53, 54, 55, 56, 57, 58, 59, 62, 63, 64, 66, 67, 68, 74, 76,
] as const;
const IPV6_TYPE = 0x86dd;

export class Generator {
  readonly #random: Random;
  readonly #interfaces: readonly number[];
  readonly #uplink: number;
  readonly #tuples: Tuple[] = [];
  #echo: Buffer | undefined;

  constructor(random: Random, interfaces: readonly number[], uplink: number) {
    this.#random = random;
    this.#interfaces = interfaces;
    this.#uplink = uplink;
  }

  next(): readonly Step[] {
    const random = this.#random;
    if (random.chance(CHANGE_SHARE)) return randomChange(random, this.#interfaces);
    const program = random.pick<ProgramName>([
      "tap_ingress",
      "tap_ingress",
      "tap_ingress",
      "uplink_ingress",
      "uplink_ingress",
      "uplink_ingress",
      "tap_egress",
    ]);
    if (this.#echo !== undefined && random.chance(0.25)) {
      const frame = this.#echo;
      this.#echo = undefined;
      return [this.#step("uplink_ingress", 0, frame, "answer")];
    }
    const isOutward = program === "tap_ingress";
    const tuple = this.#tuple();
    const { frame, origin } = this.#packet(tuple, isOutward);
    if (program === "tap_egress" && random.chance(0.7)) readdress(frame, random.below(5));
    return random.chance(0.25)
      ? [this.#step(program, tuple.number, this.#damage(frame), "mutated")]
      : [this.#step(program, tuple.number, frame, origin)];
  }

  /** What left the node comes back as if a peer had sent it: ports and addresses change places. */
  remember(step: PacketStep, { action, frame }: Outcome): void {
    if (step.program !== "tap_ingress" || action !== "redirect") return;
    const ip = readIp(frame);
    if (ip === undefined || frame.length < ip.l4 + 8) return;
    if (ip.from !== (ip.isV6 ? IPV6 : IPV4).us) return;
    const { l4 } = ip;
    const echo = Buffer.from(frame);
    const [first, bytes] = ip.isV6 ? [22, 16] : [26, 4];
    frame.copy(echo, first, first + bytes, l4);
    frame.copy(echo, first + bytes, first, first + bytes);
    frame.copy(echo, l4, l4 + 2, l4 + 4);
    frame.copy(echo, l4 + 2, l4, l4 + 2);
    if (ip.protocol === 6 && frame.length >= l4 + 20 && (frame.readUInt8(l4 + 13) & 0x12) === 2) {
      echo.writeUInt8(0x12, l4 + 13);
      echo.writeUInt32BE((frame.readUInt32BE(l4 + 4) + 1) >>> 0, l4 + 8);
    }
    this.#echo = echo;
  }

  #step(program: ProgramName, number: number, frame: Buffer, origin: Origin): PacketStep {
    const random = this.#random;
    const tap = this.#interfaces[random.chance(0.9) ? number : random.below(this.#interfaces.length)] ?? 1;
    const ifindex = program === "uplink_ingress" ? this.#uplink : random.chance(0.005) ? 1 : tap;
    const lackingBytes = (FRAME_BYTES_MIN[frame.readUInt16BE(12)] ?? HEADER_BYTES) - frame.length;
    const whole = lackingBytes > 0 ? Buffer.concat([frame, random.bytes(lackingBytes)]) : frame;
    return { kind: "packet", origin, program, ifindex, gsoSize: random.chance(0.02) ? 500 : 0, frame: whole };
  }

  #packet(tuple: Tuple, isOutward: boolean): { frame: Buffer; origin: Origin } {
    const random = this.#random;
    const kind = random.below(100);
    const isTcp = tuple.protocol === "any" || random.chance(0.03) ? kind < 50 : tuple.protocol === "tcp";
    const origin = "well-formed";
    if (kind < 88 && isTcp) return { frame: tcpPacket(random, tuple, isOutward), origin };
    if (kind < 88) return { frame: udpPacket(random, tuple, isOutward), origin };
    if (kind < 95) return { frame: icmpPacket(random, tuple, isOutward), origin };
    if (kind < 96) return { frame: arpPacket(random), origin };
    if (kind < 98) return { frame: neighbourPacket(random), origin };
    return { frame: this.#noise(), origin: "random" };
  }

  #tuple(): Tuple {
    const random = this.#random;
    const known = this.#tuples[random.below(this.#tuples.length)];
    if (known !== undefined && random.chance(0.8)) return known;
    const tuple = randomTuple(random);
    this.#tuples.push(tuple);
    if (this.#tuples.length > TUPLES_REMEMBERED) this.#tuples.shift();
    return tuple;
  }

  #noise(): Buffer {
    const random = this.#random;
    const frame = random.bytes(34 + random.below(80));
    if (random.chance(0.8)) frame.writeUInt16BE(random.pick([0x0800, 0x86dd, 0x8100, 0x0806]), 12);
    const isV6 = frame.readUInt16BE(12) === IPV6_TYPE && frame.length >= 54;
    const { us, peers } = isV6 ? IPV6 : IPV4;
    for (const at of isV6 ? [22, 38] : [26, 30])
      if (random.chance(0.5)) bytesOf(random.pick([us, peers[0]]), isV6).copy(frame, at);
    return frame;
  }

  #damage(whole: Buffer): Buffer {
    const random = this.#random;
    let frame = Buffer.from(whole);
    if (random.chance(0.3))
      frame = frame.subarray(0, HEADER_BYTES + random.below(frame.length - HEADER_BYTES));
    if (random.chance(0.2)) frame = Buffer.concat([frame, random.bytes(random.below(60))]);
    const changes = random.below(4);
    for (let at = 0; at < changes; at += 1) {
      const tender = whole.readUInt16BE(12) === IPV6_TYPE ? TENDER6 : TENDER;
      const place = random.chance(0.7) ? random.pick<number>(tender) : random.below(frame.length);
      if (place < frame.length)
        frame[place] = random.chance(0.5) ? random.below(256) : (frame[place] ?? 0) ^ (1 << random.below(8));
    }
    const tagAt = random.pick([44, 42]) + (whole.readUInt16BE(12) === IPV6_TYPE ? 20 : 0);
    if (random.chance(0.2) && frame.length >= tagAt + 2) frame.writeUInt16BE(random.pick([KV, CFS]), tagAt);
    return frame;
  }
}

/** To a domain's management address. */
function readdress(frame: Buffer, number: number): void {
  const ip = readIp(frame);
  if (ip === undefined) return;
  if (ip.isV6) return void bytesOf(managementOf6(number), true).copy(frame, 38);
  bytesOf(managementOf(number), false).copy(frame, 30);
  frame.writeUInt16BE(0, 24);
  frame.writeUInt16BE(0xffff - fold(total(frame, 14, 34)), 24);
}
