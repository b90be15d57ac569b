/**
 * A file system of a certain size in a sparse file: what is below it can never take more of the host. Containers get
 * one when their release says `diskMiB`; a machine's disk has its size by itself.
 */
import { readFile, truncate, writeFile } from "node:fs/promises";
import { run } from "./build/command.ts";

/** Makes the file, whose data the host stores only when they are written. Tables are made while it is used. */
export async function makeBounded(file: string, sizeMiB: number): Promise<void> {
  await writeFile(file, "", { flag: "wx", mode: 0o600 });
  await truncate(file, sizeMiB * 1024 ** 2);
  // No blocks for root: in there, root is the guest's.
  await run("mkfs.ext4", ["-q", "-F", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1", file]);
}

/** Mounts it; where it is mounted already nothing changes. What the guest deletes is given back to the host. */
export async function mountBounded(file: string, target: string): Promise<void> {
  if (await isMounted(target)) return;
  await run("mount", ["-t", "ext4", "-o", "loop,nosuid,nodev,discard", file, target]);
}

/** A busy mount is detached: whoever still uses it keeps it, but the name is free. */
export async function unmountAll(target: string): Promise<void> {
  while (await isMounted(target)) await run("umount", ["--lazy", target]);
}

export async function isMounted(target: string): Promise<boolean> {
  const mounts = await readFile("/proc/self/mountinfo", "utf8");
  const escaped = target.replaceAll("\\", "\\134").replaceAll(" ", "\\040");
  return mounts.split("\n").some((line) => line.split(" ")[4] === escaped);
}
