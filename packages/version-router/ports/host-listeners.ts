/** The edge to `/proc`: which ports processes of this host listen on, and which processes they are. */
import { readFile, readdir, readlink } from "node:fs/promises";
import type { PortSpec } from "../control/contract.ts";
import { listeningSockets } from "./proc-net.ts";
import type { ListeningSocket } from "./proc-net.ts";

/**
 * Of `ports`, those that a process of this network namespace has open at one of the node's addresses → a description of that
 * process. Processes are searched only when there is a hit.
 */
export async function hostListeners(
  ports: readonly PortSpec[],
  ownAddresses: readonly string[],
): Promise<ReadonlyMap<PortSpec, string>> {
  if (ports.length === 0) return new Map();
  const sockets = (
    await Promise.all([
      socketsOf("tcp", "/proc/net/tcp", ownAddresses),
      socketsOf("tcp", "/proc/net/tcp6", ownAddresses),
      socketsOf("udp", "/proc/net/udp", ownAddresses),
      socketsOf("udp", "/proc/net/udp6", ownAddresses),
    ])
  ).flat();
  const hits = ports.flatMap((port) => {
    const socket = sockets.find((candidate) => `${candidate.protocol}/${candidate.port}` === port);
    return socket === undefined ? [] : [{ port, socket }];
  });
  const listeners = new Map<PortSpec, string>();
  for (const { port, socket } of hits) listeners.set(port, await describeOwner(socket.inode));
  return listeners;
}

async function socketsOf(
  protocol: "tcp" | "udp",
  file: string,
  addresses: readonly string[],
): Promise<ListeningSocket[]> {
  // tcp6 and udp6 are absent where the kernel has no IPv6.
  const table = await readFile(file, "utf8").catch(() => "");
  return addresses.flatMap((address) => listeningSockets(table, protocol, address));
}

async function describeOwner(inode: number): Promise<string> {
  for (const pid of (await readdir("/proc")).filter((name) => /^[0-9]+$/.test(name))) {
    // A process may end, or belong to someone else, while it is looked at.
    const files = await readdir(`/proc/${pid}/fd`).catch(() => []);
    for (const file of files) {
      const target = await readlink(`/proc/${pid}/fd/${file}`).catch(() => "");
      if (target !== `socket:[${inode}]`) continue;
      const name = await readFile(`/proc/${pid}/comm`, "utf8").catch(() => "");
      return `a process of this host, ${name.trim() || "unnamed"} (pid ${pid})`;
    }
  }
  return "a process of this host";
}
