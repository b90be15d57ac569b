/** Hands one packet to a pinned program by BPF_PROG_TEST_RUN, in the network namespace of this process. */
import { closeSync } from "node:fs";
import { BPF, bpf, errnoName, pointer } from "../../datapath/kernel/bpf-syscall.ts";

const OUTPUT_BYTES = 4096;
/** struct __sk_buff, as far as fields may be given. */
const CONTEXT_BYTES = 192;
const CONTEXT_IFINDEX = 40;
const CONTEXT_GSO_SIZE = 176;

export const ACTION = { ok: 0, drop: 2, redirect: 7 } as const;

export interface TestRun {
  readonly action: number;
  readonly frame: Buffer;
}

export function testRun(pin: string, frame: Uint8Array, ifindex: number, gsoSize = 0): TestRun {
  const path = Buffer.from(`${pin}\0`);
  const { result: fd } = bpf(BPF.objectGet, (fill) => fill.setBigUint64(0, pointer(path), true));
  if (fd < 0) throw new Error(`${pin}: ${errnoName(-fd)}`);
  const input = Buffer.from(frame);
  const output = Buffer.alloc(OUTPUT_BYTES);
  const context = Buffer.alloc(CONTEXT_BYTES);
  context.writeUInt32LE(ifindex, CONTEXT_IFINDEX);
  context.writeUInt32LE(gsoSize, CONTEXT_GSO_SIZE);
  const { result, attributes } = bpf(BPF.programTestRun, (fill) => {
    fill.setUint32(0, fd, true);
    fill.setUint32(8, input.length, true);
    fill.setUint32(12, output.length, true);
    fill.setBigUint64(16, pointer(input), true);
    fill.setBigUint64(24, pointer(output), true);
    fill.setUint32(32, 1, true);
    fill.setUint32(40, context.length, true);
    fill.setBigUint64(48, pointer(context), true);
  });
  closeSync(fd);
  if (result < 0) throw new Error(`BPF_PROG_TEST_RUN: ${errnoName(-result)}`);
  return {
    action: attributes.getUint32(4, true),
    frame: Buffer.from(output.subarray(0, attributes.getUint32(12, true))),
  };
}
