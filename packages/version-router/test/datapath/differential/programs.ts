/** The real programs, one packet at a time by BPF_PROG_TEST_RUN: about 2.5 µs each, with buffers made once. */
import { closeSync } from "node:fs";
import koffi from "koffi";
import { BPF, bpf, errnoName, pointer } from "../../../datapath/kernel/bpf-syscall.ts";
import { Pins } from "../../../datapath/kernel/pins.ts";
import type { Outcome } from "./model/frame.ts";
import type { PacketStep, ProgramName } from "./steps.ts";

const SYSCALL_BPF: Readonly<Record<string, number>> = { x64: 321, arm64: 280, riscv64: 280 };
const FRAME_BYTES_MAX = 4096;
const ATTRIBUTE_BYTES = 128;
/** struct __sk_buff, as far as fields may be given. */
const CONTEXT_BYTES = 192;
const CONTEXT_IFINDEX = 40;
const CONTEXT_GSO_SIZE = 176;
const ACTIONS: Readonly<Record<number, Outcome["action"]>> = { 0: "pass", 2: "drop", 7: "redirect" };
const NAMES: readonly ProgramName[] = ["tap_ingress", "tap_egress", "uplink_ingress"];

export class Programs {
  readonly #fds: Readonly<Record<ProgramName, number>>;
  readonly #input = Buffer.alloc(FRAME_BYTES_MAX);
  readonly #output = Buffer.alloc(FRAME_BYTES_MAX);
  readonly #context = Buffer.alloc(CONTEXT_BYTES);
  readonly #attributes = Buffer.alloc(ATTRIBUTE_BYTES);
  readonly #call = koffi.load("libc.so.6").func("long syscall(long, int, void *, unsigned int)") as (
    ...words: unknown[]
  ) => number;

  constructor(pinDirectory: string) {
    const pins = new Pins(pinDirectory);
    const open = (name: ProgramName): number => {
      const path = Buffer.from(`${pins.program(name)}\0`);
      const { result } = bpf(BPF.objectGet, (fill) => fill.setBigUint64(0, pointer(path), true));
      if (result < 0) throw new Error(`${name}: ${errnoName(-result)}`);
      return result;
    };
    const [tap_ingress, tap_egress, uplink_ingress] = NAMES.map(open) as [number, number, number];
    this.#fds = { tap_ingress, tap_egress, uplink_ingress };
    const view = new DataView(this.#attributes.buffer, this.#attributes.byteOffset);
    view.setUint32(12, FRAME_BYTES_MAX, true);
    view.setBigUint64(16, pointer(this.#input), true);
    view.setBigUint64(24, pointer(this.#output), true);
    view.setUint32(32, 1, true);
    view.setUint32(40, CONTEXT_BYTES, true);
    view.setBigUint64(48, pointer(this.#context), true);
  }

  run({ program, ifindex, gsoSize, frame }: PacketStep): Outcome {
    frame.copy(this.#input);
    this.#context.writeUInt32LE(ifindex, CONTEXT_IFINDEX);
    this.#context.writeUInt32LE(gsoSize, CONTEXT_GSO_SIZE);
    this.#attributes.writeUInt32LE(this.#fds[program], 0);
    this.#attributes.writeUInt32LE(frame.length, 8);
    this.#attributes.writeUInt32LE(FRAME_BYTES_MAX, 12);
    const number = SYSCALL_BPF[process.arch];
    if (this.#call(number, BPF.programTestRun, this.#attributes, ATTRIBUTE_BYTES) < 0) {
      throw new Error(`BPF_PROG_TEST_RUN of ${frame.toString("hex")}: ${errnoName(koffi.errno())}`);
    }
    const action = ACTIONS[this.#attributes.readUInt32LE(4)];
    if (action === undefined)
      throw new Error(`an action that no program gives: ${this.#attributes.readUInt32LE(4)}`);
    return { action, frame: Buffer.from(this.#output.subarray(0, this.#attributes.readUInt32LE(12))) };
  }

  close(): void {
    for (const fd of Object.values(this.#fds)) closeSync(fd);
  }
}
