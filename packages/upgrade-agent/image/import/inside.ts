/**
 * Paths of a root that somebody else has written, on the host. Its links mean places in that root, as they will once
 * it is a domain's; followed by the host's kernel they would lead anywhere. So each is followed here, by hand.
 * Nobody else writes into a root while it is unpacked, so what was looked at stays as it was.
 */
import { lstat, mkdir, readlink, type FileHandle, open } from "node:fs/promises";
import { constants, type Stats } from "node:fs";
import { join } from "node:path";
import { PATH_BYTES_MAX } from "./limits.ts";
import { format } from "./tar-stream.ts";

/** As Linux does (MAXSYMLINKS). */
const linksMax = 40;

/**
 * The one spelling of a path in an archive: relative, no `.`, no trailing slash; empty for the root itself. A leading
 * slash means the root, as archives have it. Throws E_IMAGE_FORMAT when it climbs.
 */
export function archivePath(path: string): string {
  const parts = path.split("/").filter((part) => part !== "" && part !== ".");
  if (parts.includes("..") || path.includes("\0") || Buffer.byteLength(path) > PATH_BYTES_MAX) {
    throw format(`it holds ${JSON.stringify(path.slice(0, 200))}, a path that leaves the root`);
  }
  return parts.join("/");
}

export async function lstatOrNothing(path: string): Promise<Stats | undefined> {
  try {
    return await lstat(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/**
 * The directory `path` of the root, on the host, with all links in it followed inside; `onMake` hears of each directory
 * that had to be made. Throws E_IMAGE_FORMAT when a part of it is no directory.
 */
export async function directoryInside(
  root: string,
  path: string,
  onMake?: (directory: string) => void,
): Promise<string | undefined> {
  const pending = path.split("/").filter((part) => part !== "");
  const at: string[] = [];
  let links = 0;
  for (let part = pending.shift(); part !== undefined; part = pending.shift()) {
    if (part === ".") continue;
    if (part === "..") {
      at.pop();
      continue;
    }
    const host = join(root, ...at, part);
    const stats = await lstatOrNothing(host);
    if (stats === undefined) {
      if (onMake === undefined) return undefined;
      await mkdir(host, { mode: 0o755 });
      onMake(host);
      at.push(part);
    } else if (stats.isDirectory()) {
      at.push(part);
    } else if (stats.isSymbolicLink()) {
      links += 1;
      if (links > linksMax) throw format(`${JSON.stringify(path)} leads through too many links`);
      const target = await readlink(host);
      if (target.startsWith("/")) at.length = 0;
      pending.unshift(...target.split("/").filter((word) => word !== ""));
    } else {
      throw format(`${JSON.stringify(path)} leads through ${part}, which is no directory`);
    }
  }
  return join(root, ...at);
}

/** A regular file of the root, opened; undefined when there is none, and for links, which are not followed. */
export async function openInside(root: string, path: string): Promise<FileHandle | undefined> {
  const cut = path.lastIndexOf("/");
  const directory = await directoryInside(root, path.slice(0, Math.max(cut, 0)));
  if (directory === undefined) return undefined;
  const host = join(directory, path.slice(cut + 1));
  const stats = await lstatOrNothing(host);
  if (stats?.isFile() !== true) return undefined;
  return open(host, constants.O_RDONLY | constants.O_NOFOLLOW);
}
