/**
 * Who runs where: the contender has the last processor for itself; clients and servers share the first, the same for
 * all. (With one processor they all share it.)
 */
import { readdirSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";

const last = availableParallelism() - 1;

export const HELPERS = ["taskset", "--cpu-list", "0"] as const;
export const CONTENDER = ["taskset", "--cpu-list", `${last}`] as const;

/** USER_HZ is 100 on every architecture that Node runs on. */
const TICK_MICROSECONDS = 10_000;

/** User and system time of a process and its children, microseconds (proc(5)). */
export function processorTimeOf(pid: number): number {
  let ticks = 0;
  for (const member of familyOf(pid)) {
    const stat = readFileSync(`/proc/${member}/stat`, "utf8");
    // Behind the name, which may have spaces and brackets in it.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    ticks += Number(fields[11]) + Number(fields[12]);
  }
  return ticks * TICK_MICROSECONDS;
}

/** Resident memory of a process and its children, bytes; what they share is counted once (proc(5), Pss). */
export function memoryOf(pid: number): number {
  let kib = 0;
  for (const member of familyOf(pid)) {
    const text = readFileSync(`/proc/${member}/smaps_rollup`, "utf8");
    kib += Number(/^Pss: +(\d+) kB$/m.exec(text)?.[1] ?? 0);
  }
  return kib * 1024;
}

/** Descriptors that a process here may open. */
export function descriptorsMax(): number {
  const found = /^Max open files +(\d+) +(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"));
  return Number(found?.[2] ?? 1024);
}

function familyOf(pid: number): readonly number[] {
  const children = readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
    readFileSync(`/proc/${pid}/task/${thread}/children`, "utf8").split(" ").filter(Boolean).map(Number),
  );
  return [pid, ...children];
}
