/** Lists the tree that is to become a release, in the order of the tarball, and refuses what a release cannot hold. */
import { lstat, readdir, readlink } from "node:fs/promises";
import type { Stats } from "node:fs";
import { join } from "node:path";
import { AgentError } from "../errors.ts";
import { ENTRIES_MAX, UNPACKED_BYTES_MAX } from "./limits.ts";
import { entryPath, linkStaysInside } from "./paths.ts";

export interface TreeEntry {
  /** Relative to the tree, with `/`. */
  readonly path: string;
  readonly stats: Stats;
}

export interface TreeLimits {
  readonly entriesMax?: number;
  /** Bytes of all files together. */
  readonly unpackedBytesMax?: number;
}

/**
 * Every entry below `directory`, sorted by UTF-16 code units and so the same everywhere.
 * Throws `E_NOT_A_RELEASE` for links that leave the tree, devices, sockets and names that are not UTF-8; `E_TOO_LARGE`.
 */
export async function readTree(directory: string, limits: TreeLimits = {}): Promise<readonly TreeEntry[]> {
  const { entriesMax = ENTRIES_MAX, unpackedBytesMax = UNPACKED_BYTES_MAX } = limits;
  const entries: TreeEntry[] = [];
  const pending = [""];
  let bytes = 0;
  for (let parent = pending.pop(); parent !== undefined; parent = pending.pop()) {
    for (const name of await readdir(join(directory, parent))) {
      const entry = await readEntry(directory, parent === "" ? name : `${parent}/${name}`);
      entries.push(entry);
      if (entry.stats.isDirectory()) pending.push(entry.path);
      if (entry.stats.isFile()) bytes += entry.stats.size;
      if (entries.length > entriesMax) throw tooLarge(directory, `more than ${entriesMax} files`);
      if (bytes > unpackedBytesMax) throw tooLarge(directory, `more than ${unpackedBytesMax} bytes`);
    }
  }
  return entries.toSorted((a, b) => (a.path < b.path ? -1 : 1));
}

async function readEntry(directory: string, path: string): Promise<TreeEntry> {
  if (path.includes("\u{fffd}")) throw refused(path, "has a name that is not UTF-8; rename it");
  if (entryPath(path) !== path) throw refused(path, "has a path that is too long; shorten it");
  const stats = await lstat(join(directory, path));
  if (stats.isSymbolicLink()) {
    const target = await readlink(join(directory, path));
    if (!linkStaysInside(path, target)) {
      throw refused(
        path,
        `links to ${JSON.stringify(target)}, outside the release; replace it by what it links to`,
      );
    }
  } else if (!stats.isFile() && !stats.isDirectory()) {
    throw refused(path, "is a device, a socket or a pipe; remove it");
  }
  return { path, stats };
}

function refused(path: string, why: string): AgentError {
  return new AgentError("E_NOT_A_RELEASE", `${JSON.stringify(path)} ${why}.`);
}

function tooLarge(directory: string, what: string): AgentError {
  return new AgentError(
    "E_TOO_LARGE",
    `${directory} holds ${what}; leave out what the domain does not need.`,
  );
}
