/**
 * Keeps the console logs of domains from filling the host's disk. A guest prints as much as it likes, and the file is
 * written by QEMU or by the guest itself; both append, so a log that is cut while they have it open goes on at its new
 * end.
 */
import { open, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** Of the name of a console log in the agent's log directory. */
const CONSOLE_LOG_SUFFIX = ".console.log";

/** Bytes that a log may have before it is cut; a boot prints some hundred lines. */
const BYTES_MAX = 8 * 1024 ** 2;

/** Milliseconds between two looks: a guest may exceed the bound by what it prints meanwhile. */
const LOOK_MS = 200;

/** Cuts a longer log to its last eighth, behind a line that says so. Resolves to whether it did. */
export async function cutConsoleLog(path: string, bytesMax: number): Promise<boolean> {
  const { size } = await stat(path);
  if (size <= bytesMax) return false;
  const file = await open(path, "r+");
  try {
    const kept = Buffer.alloc(Math.floor(bytesMax / 8));
    const { bytesRead } = await file.read(kept, 0, kept.length, size - kept.length);
    await file.truncate(0);
    const line = `\n[version-manager: ${size - bytesRead} bytes of this console were cut]\n`;
    await file.write(Buffer.concat([Buffer.from(line), kept.subarray(0, bytesRead)]), 0, null, 0);
    return true;
  } finally {
    await file.close();
  }
}

/** Looks at every console log of the directory until aborted. Never throws: a log that cannot be cut is left alone. */
export async function boundConsoleLogs(
  directory: string,
  signal: AbortSignal,
  bytesMax = BYTES_MAX,
): Promise<void> {
  while (!signal.aborted) {
    const names = await readdir(directory).catch(() => []);
    for (const name of names.filter((entry) => entry.endsWith(CONSOLE_LOG_SUFFIX)))
      await cutConsoleLog(join(directory, name), bytesMax).catch(() => false);
    await sleep(LOOK_MS, undefined, { signal }).catch(() => undefined);
  }
}
