/** Files that must be wholly there or not at all, and the one translation of a full disk. */
import { open, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { AgentError } from "../errors.ts";

/** Makes the entries of a directory last over a power cut. */
export async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Makes the content of a file last over a power cut. */
export async function syncFile(file: string): Promise<void> {
  const handle = await open(file, "r+");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Writes aside, syncs, renames: whoever opens `file` sees the old content or the new. */
export async function writeFileAtomically(file: string, content: Uint8Array): Promise<void> {
  const aside = `${file}.new`;
  try {
    const handle = await open(aside, "w", 0o644);
    try {
      await handle.writeFile(content);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(aside, file);
  } catch (error) {
    await rm(aside, { force: true });
    throw error;
  }
  await syncDirectory(dirname(file));
}

/** `E_DISK_FULL` for a full disk or quota, everything else as it was. */
export function diskFull(error: unknown, place: string): unknown {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  if (code !== "ENOSPC" && code !== "EDQUOT") return error;
  return new AgentError("E_DISK_FULL", `The disk of ${place} is full; free some space and try again.`, error);
}

export function isMissing(error: unknown): boolean {
  return (error as NodeJS.ErrnoException | undefined)?.code === "ENOENT";
}

export async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}
