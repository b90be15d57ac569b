/** How busy the whole machine is, from /proc/stat (proc(5)): everything but idle and waiting for disks. */
import { readFileSync } from "node:fs";

/** USER_HZ is 100 on every architecture that Node runs on. */
const TICK_MICROSECONDS = 10_000;

export interface ProcessorTime {
  /** Microseconds of all processors together since the machine started. */
  readonly busy: number;
  readonly all: number;
}

export function processorTime(): ProcessorTime {
  const [line = ""] = readFileSync("/proc/stat", "utf8").split("\n");
  // The last two, a guest's time, are in the first two already.
  const ticks = line.trim().split(/\s+/).slice(1, 9).map(Number);
  const all = ticks.reduce((sum, value) => sum + value, 0);
  const [, , , idle = 0, waiting = 0] = ticks;
  return { busy: (all - idle - waiting) * TICK_MICROSECONDS, all: all * TICK_MICROSECONDS };
}
