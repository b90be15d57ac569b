/** The root directory as a disk that virtual machines put their copy-on-write layer on. */
import { rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { run } from "./command.ts";

export const diskFile = "root.qcow2";

/**
 * What a domain sees as the size of its disk, bytes. The file takes only what is written, so that a large one costs
 * nothing but 1/64 of it for inode tables that are never written either.
 */
const diskBytes = 8 * 1024 ** 3;

/** Writes `root.qcow2` into `output`. Not compressed: reading it while booting would cost more than it saves. */
export async function makeDisk(root: string, output: string, signal?: AbortSignal): Promise<void> {
  const raw = join(output, "root.raw");
  await writeFile(raw, "");
  await truncate(raw, diskBytes);
  const features = "lazy_itable_init=1,lazy_journal_init=1,root_owner=0:0";
  const shape = ["-L", "vm-root", "-m", "0", "-i", "65536", "-J", "size=16", "-E", features];
  await run("mkfs.ext4", ["-q", "-F", ...shape, "-d", root, raw], { signal });
  await run("qemu-img", ["convert", "-f", "raw", "-O", "qcow2", raw, join(output, diskFile)], { signal });
  await rm(raw);
}
