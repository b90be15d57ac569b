/** Swarms on loopback addresses, each of which stands for a node. */
import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import net from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { createSwarm, makeTorrent, type Swarm, type SwarmOptions } from "../../swarm/index.ts";
import { temporaryDirectory } from "../release/fixture.ts";

export const MIB = 1024 * 1024;
export const fleet = ["127.0.1.1", "127.0.1.2", "127.0.1.3"] as const;
export const stranger = "127.0.1.9";

export type Test = Parameters<typeof temporaryDirectory>[0];

export async function swarmAt(t: Test, host: string, options: Partial<SwarmOptions> = {}): Promise<Swarm> {
  const swarm = await createSwarm({ host, port: 0, allowedPeers: fleet, retryIntervalMs: 100, ...options });
  t.teardown(() => swarm.close());
  return swarm;
}

/** A file with its torrent, and names for others beside it. */
export async function makeFile(t: Test, bytes: number) {
  const directory = await temporaryDirectory(t);
  const file = join(directory, "original");
  const content = randomBytes(bytes);
  await writeFile(file, content);
  const { torrent, infohash } = await makeTorrent(file, "release.tar.gz");
  return { file, content, torrent, infohash, target: (name: string) => join(directory, name) };
}

export const endpoint = (host: string, swarm: Swarm) => `${host}:${swarm.port}`;

export async function until(what: string, condition: () => boolean, timeoutMs = 20_000): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`waited ${timeoutMs} ms for ${what}`);
    await sleep(20);
  }
}

/** How a connection ends that says nothing: an error's code, "closed", or "open" after five seconds. */
export function connectFrom(localAddress: string, host: string, port: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = net.connect({ host, port, localAddress });
    socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? "error"));
    socket.once("close", () => resolve("closed"));
    socket.setTimeout(5_000, () => resolve("open"));
  });
}
