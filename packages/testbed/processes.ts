/** Processes of the machine as /proc shows them to the host: who runs in which namespace, who is still alive. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { TestbedError } from "./errors.ts";

export function allProcesses(): number[] {
  return readdirSync("/proc")
    .map(Number)
    .filter((pid) => pid > 0);
}

/** Command line with blanks between arguments; empty for kernel threads and for processes that are gone. */
export function commandLine(pid: number): string {
  return readOrEmpty(`/proc/${pid}/cmdline`).replaceAll("\0", " ").trim();
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

/** State letter and start time (clock ticks since boot; PID and start time together are never reused) of a process. */
export function processStat(
  pid: number,
): { readonly state: string; readonly startTicks: number } | undefined {
  const text = readOrEmpty(`/proc/${pid}/stat`);
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const [state = ""] = fields;
  return text === "" ? undefined : { state, startTicks: Number(fields[19]) };
}

/** Zombies do not count: nothing of them runs or holds anything. */
export function isAlive(pid: number): boolean {
  const stat = processStat(pid);
  return stat !== undefined && stat.state !== "Z" && stat.state !== "X";
}

/** PIDs of a process in its PID namespace and all above, outermost first; `[host, 1]` for a node's first process. */
export function namespacePids(pid: number): number[] {
  const line = /^NSpid:\s+(.*)$/m.exec(readOrEmpty(`/proc/${pid}/status`))?.[1] ?? "";
  return line.split(/\s+/).map(Number);
}

/** Processes whose network namespace is the one called `netns`; those of other users of the machine never are. */
export function processesInNetns(netns: string): number[] {
  let inode: number;
  try {
    inode = statSync(`/run/netns/${netns}`).ino;
  } catch {
    return [];
  }
  if (inode === statSync("/proc/self/ns/net").ino) return [];
  return allProcesses().filter((pid) => {
    try {
      return statSync(`/proc/${pid}/ns/net`).ino === inode;
    } catch {
      return false;
    }
  });
}

/**
 * SIGKILL to all that `find` finds, again and again until it finds none that is alive, since processes may fork
 * meanwhile. Throws E_TESTBED_RESIDUE when some are left after `patienceMs`.
 */
export async function killAll(find: () => Promise<readonly number[]>, patienceMs = 30_000): Promise<void> {
  const deadline = Date.now() + patienceMs;
  for (;;) {
    const alive = (await find()).filter((pid) => pid !== process.pid && isAlive(pid));
    if (alive.length === 0) return;
    if (Date.now() > deadline) {
      const names = alive.map((pid) => `${pid} (${commandLine(pid).slice(0, 60)})`).join(", ");
      throw new TestbedError(
        "E_TESTBED_RESIDUE",
        `These processes survive SIGKILL: ${names}; a reboot may be needed.`,
      );
    }
    for (const pid of alive) {
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // It ended by itself.
      }
    }
    await sleep(50);
  }
}
