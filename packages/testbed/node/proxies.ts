/**
 * Finds the application proxies of a node: processes that listen on `/run/version-manager/proxy-*.sock`. Found through
 * /proc, because they outlive the agent that started them.
 */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/** Inodes of the listening sockets, from /proc/net/unix (columns: … inode path). */
function proxySockets(): Set<string> {
  const inodes = new Set<string>();
  for (const line of readFileSync("/proc/net/unix", "utf8").split("\n")) {
    const [, , , , , , inode, path] = line.trim().split(/\s+/);
    if (inode !== undefined && path !== undefined && /\/proxy-[^/]+\.sock$/.test(path)) inodes.add(inode);
  }
  return inodes;
}

function descriptors(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`));
  } catch {
    // The process ended, or closed a descriptor, while it was looked at.
    return [];
  }
}

/** PIDs in this PID namespace, without those in `except` (an agent may hold the socket that it handed over). */
export function proxyProcesses(except: readonly number[]): number[] {
  const inodes = proxySockets();
  if (inodes.size === 0) return [];
  const pids = readdirSync("/proc")
    .map(Number)
    .filter((pid) => pid > 1 && !except.includes(pid));
  return pids.filter((pid) =>
    descriptors(pid).some((target) => inodes.has(/^socket:\[(\d+)\]$/.exec(target)?.[1] ?? "")),
  );
}
