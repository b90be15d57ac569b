/** The bpf(2) system call by number, through koffi, as far as maps need it. See docs/decisions/0002 and 0003. */
import { constants } from "node:os";
import koffi from "koffi";
import { RouterError } from "../../errors.ts";

const ATTRIBUTE_BYTES = 128;
const SYSCALL_NUMBERS: Readonly<Record<string, number>> = { x64: 321, arm64: 280, riscv64: 280 };

export const BPF = {
  mapLookup: 1,
  mapUpdate: 2,
  mapDelete: 3,
  objectGet: 7,
  programTestRun: 10,
  mapLookupAndDelete: 21,
  mapLookupBatch: 24,
} as const;

type Fill = (attributes: DataView) => void;
type Call = (number: number, command: number, attributes: Buffer, bytes: number) => number;

let call: Call | undefined;

function syscall(): Call {
  call ??= koffi.load("libc.so.6").func("long syscall(long, int, void *, unsigned int)") as Call;
  return call;
}

/**
 * What the call returned, or `-errno`. `fill` writes the union bpf_attr, in host byte order (little endian).
 *
 * The reason of a failure lies in errno, which the engine's own system calls may overwrite before it is read (seen
 * once in some ten million calls). So a failed call is repeated until two reasons in a row agree: a call that failed
 * has changed nothing, as long as `fill` gives it the same input again.
 */
export function bpf(command: number, fill: Fill): { readonly result: number; readonly attributes: DataView } {
  const number = SYSCALL_NUMBERS[process.arch];
  if (number === undefined) {
    throw new RouterError("E_NO_DATA_PATH", `No bpf(2) on ${process.arch}; use the relay data path.`);
  }
  const buffer = Buffer.alloc(ATTRIBUTE_BYTES);
  const attributes = new DataView(buffer.buffer, buffer.byteOffset, ATTRIBUTE_BYTES);
  for (let lastErrno = 0; ;) {
    buffer.fill(0);
    fill(attributes);
    const result = syscall()(number, command, buffer, ATTRIBUTE_BYTES);
    if (result >= 0) return { result, attributes };
    const errno = koffi.errno();
    if (errno === lastErrno) return { result: -errno, attributes };
    lastErrno = errno;
  }
}

/** Address of a buffer's bytes, to be written into bpf_attr. The caller keeps the buffer alive over the call. */
export function pointer(buffer: Buffer): bigint {
  return koffi.address(buffer);
}

/** `ENOENT` and the like, for messages. */
export function errnoName(errno: number): string {
  const found = Object.entries(constants.errno).find(([, value]) => value === errno);
  return found?.[0] ?? `errno ${errno}`;
}
