/** Chooses the next step of a sequence: a packet that may follow from earlier ones, a broken one, or a change. */
import { CFS, KV, PEERS, US, randomChange } from "./fixture.ts";
import { fold, total } from "./model/sums.ts";
import { arpPacket, icmpPacket, randomTuple, tcpPacket, udpPacket } from "./packets.ts";
import type { Outcome } from "./model/frame.ts";
import type { Tuple } from "./packets.ts";
import type { Random } from "./random.ts";
import type { Origin, PacketStep, ProgramName, Step } from "./steps.ts";

const CHANGE_SHARE = 0.02;
const TUPLES_REMEMBERED = 6;
const MANAGEMENT = 0xa9fe8001;
/** BPF_PROG_TEST_RUN refuses less than the header that the type of frame promises. */
const FRAME_BYTES_MIN: Readonly<Record<number, number>> = { 0x0800: 34, 0x86dd: 54 };
const HEADER_BYTES = 14;
/** Places where a changed byte changes a decision: lengths, flags, addresses, ports, marks. */
const TENDER = [
  12, 13, 14, 16, 17, 20, 21, 23, 26, 29, 30, 33, 34, 35, 36, 37, 38, 39, 42, 43, 44, 46, 47, 48, 54, 56,
] as const;

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
    if (program === "tap_egress" && frame.length >= 34 && random.chance(0.7))
      readdress(frame, MANAGEMENT + random.below(5));
    return random.chance(0.25)
      ? [this.#step(program, tuple.number, this.#damage(frame), "mutated")]
      : [this.#step(program, tuple.number, frame, origin)];
  }

  /** What left the node comes back as if a peer had sent it: ports and addresses change places. */
  remember(step: PacketStep, { action, frame }: Outcome): void {
    if (step.program !== "tap_ingress" || action !== "redirect" || frame.length < 42) return;
    if (frame.readUInt32BE(26) !== US) return;
    const echo = Buffer.from(frame);
    frame.copy(echo, 26, 30, 34);
    frame.copy(echo, 30, 26, 30);
    frame.copy(echo, 34, 36, 38);
    frame.copy(echo, 36, 34, 36);
    if (frame[23] === 6 && frame.length >= 54 && (frame.readUInt8(47) & 0x12) === 2) {
      echo.writeUInt8(0x12, 47);
      echo.writeUInt32BE((frame.readUInt32BE(38) + 1) >>> 0, 42);
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
    if (kind < 97) return { frame: arpPacket(random), origin };
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
    if (random.chance(0.5)) frame.writeUInt32BE(random.pick([US, PEERS[0]]), 26);
    if (random.chance(0.5)) frame.writeUInt32BE(random.pick([US, PEERS[0]]), 30);
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
      const place = random.chance(0.7) ? random.pick(TENDER) : random.below(frame.length);
      if (place < frame.length)
        frame[place] = random.chance(0.5) ? random.below(256) : (frame[place] ?? 0) ^ (1 << random.below(8));
    }
    if (random.chance(0.2) && frame.length >= 46)
      frame.writeUInt16BE(random.pick([KV, CFS]), random.pick([44, 42]));
    return frame;
  }
}

function readdress(frame: Buffer, to: number): void {
  frame.writeUInt32BE(to, 30);
  frame.writeUInt16BE(0, 24);
  frame.writeUInt16BE(0xffff - fold(total(frame, 14, 34)), 24);
}
