/**
 * Finished base images on disk:
 *
 *     DIRECTORY/<digest>/  root.qcow2, vmlinux, initramfs.cpio, root/ (for containers), image.json
 *     DIRECTORY/current    symbolic link to the one that the last build ended with
 *
 * A directory that bears a digest is complete: it is built aside and renamed.
 */
import { readFile, readlink, rename, rm, symlink } from "node:fs/promises";
import { basename, join } from "node:path";
import type { BaseImage } from "./contract.ts";
import { diskFile } from "./build/disk.ts";
import { initramfsFile, kernelFile } from "./build/kernel.ts";
import { toolsDirectory } from "./build/tools.ts";

export const infoFile = "image.json";
/** The root for containers, owned by shifted ids. */
export const rootDirectory = "root";

export interface BasePaths {
  readonly disk: string;
  readonly kernel: string;
  readonly initramfs: string;
  readonly root: string;
  /** What a foreign root needs; absent in bases of older builds. */
  readonly tools: string;
}

export function basePaths(base: Pick<BaseImage, "directory">): BasePaths {
  return {
    disk: join(base.directory, diskFile),
    kernel: join(base.directory, kernelFile),
    initramfs: join(base.directory, initramfsFile),
    root: join(base.directory, rootDirectory),
    tools: join(base.directory, toolsDirectory),
  };
}

export async function findBase(directory: string, digest: string): Promise<BaseImage | undefined> {
  try {
    const text = await readFile(join(directory, digest, infoFile), "utf8");
    const { kind, bytes, builtAtMs } = JSON.parse(text) as Pick<BaseImage, "bytes" | "builtAtMs"> & {
      readonly kind?: string;
    };
    // Imported images lie beside the bases.
    if (kind !== undefined && kind !== "base") return undefined;
    return { digest, directory: join(directory, digest), bytes, builtAtMs };
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  }
}

export async function currentBase(directory: string): Promise<BaseImage | undefined> {
  try {
    return await findBase(directory, basename(await readlink(join(directory, "current"))));
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  }
}

export async function makeCurrent(directory: string, digest: string): Promise<void> {
  const aside = join(directory, ".current.new");
  await rm(aside, { force: true });
  await symlink(digest, aside);
  await rename(aside, join(directory, "current"));
}

function isAbsent(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === "ENOENT";
}
