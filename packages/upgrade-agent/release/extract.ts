/** Unpacks a part of a release's tarball on the host: files, directories and links that stay inside, nothing else. */
import { mkdir } from "node:fs/promises";
import { extract, type ReadEntry } from "tar";
import { inspectRelease } from "./inspect.ts";
import { entryPath } from "./paths.ts";

/**
 * Unpacks every entry whose path passes `wanted` into `directory`, which should be new. Owners and times of
 * the tarball are not taken over. The tarball is inspected first and throws as `inspectRelease` does.
 */
export async function extractRelease(
  tarball: string,
  directory: string,
  wanted: (path: string) => boolean,
): Promise<void> {
  await inspectRelease(tarball);
  await mkdir(directory, { recursive: true });
  await extract({
    file: tarball,
    cwd: directory,
    strict: true,
    preserveOwner: false,
    noMtime: true,
    filter: (path, entry) => isPlain(entry as ReadEntry) && wanted(entryPath(path) ?? ""),
  });
}

function isPlain(entry: ReadEntry): boolean {
  return ["File", "OldFile", "Directory", "SymbolicLink"].includes(entry.type);
}
