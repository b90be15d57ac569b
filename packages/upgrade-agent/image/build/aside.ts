/** What builds and imports make aside before it is whole, and what those leave that died. */
import { chmod, readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";

export const halfBuiltPrefix = ".build-";

/** Only the holder of the lock builds, so what has this prefix belongs to a build that died. */
export async function removeHalfBuilt(directory: string): Promise<void> {
  const left = (await readdir(directory)).filter((name) => name.startsWith(halfBuiltPrefix));
  // Its last processes may be dying still.
  const retry = { maxRetries: 20, retryDelay: 100 };
  for (const name of left) await rm(join(directory, name), { recursive: true, force: true, ...retry });
}

/** The hypervisor's user may read it; nobody writes it again. Answers the bytes that it takes on disk. */
export async function publish(file: string): Promise<number> {
  await chmod(file, 0o444);
  return (await stat(file)).blocks * 512;
}
