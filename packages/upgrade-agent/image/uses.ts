/**
 * Who uses an image: `DIRECTORY/.uses/DIGEST/ID` is the claim of one disk, where nodes of one machine share the images
 * but not their disks. A claim is made before the image is looked at and renewed by the node's agent; one that was not
 * renewed for a week belonged to a node that is no more. Running domains are known from the kernel besides, so that
 * not even a lapsed claim costs one its image.
 */
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, readlink, rm, rmdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** Time after which a claim that nobody renews lapses, ms. */
export const claimLapseMs = 7 * 24 * 60 * 60 * 1000;

const directoryName = ".uses";

/**
 * `disk` is the disk's directory as its node sees it, `owner` what tells it from the same path of another node: the
 * inode of the directory of disks.
 */
export interface Claim {
  readonly disk: string;
  readonly owner: string;
}

function placeOf(directory: string, digest: string, claim: Claim): string {
  const id = createHash("sha256").update(`${claim.owner}\0${claim.disk}`).digest("hex").slice(0, 32);
  return join(directory, directoryName, digest, id);
}

/** Makes or renews it. */
export async function claimImage(directory: string, digest: string, claim: Claim): Promise<void> {
  const place = placeOf(directory, digest, claim);
  for (let tries = 0; ; tries += 1) {
    await mkdir(join(directory, directoryName, digest), { recursive: true });
    try {
      return await writeFile(place, `${claim.disk}\n`);
    } catch (error) {
      // Whoever took the last claim away took the directory with it, between these two calls.
      if ((error as NodeJS.ErrnoException).code !== "ENOENT" || tries > 20) throw error;
    }
  }
}

export async function releaseImage(directory: string, digest: string, claim: Claim): Promise<void> {
  await rm(placeOf(directory, digest, claim), { force: true });
  // Fails while others use it, which is as it should be.
  await rmdir(join(directory, directoryName, digest)).catch(() => {});
}

/** The disks that claim an image now. */
export async function usesOf(directory: string, digest: string): Promise<string[]> {
  const place = join(directory, directoryName, digest);
  const names = await readdir(place).catch(() => []);
  const disks: string[] = [];
  for (const name of names) {
    const file = join(place, name);
    const stats = await stat(file).catch(() => undefined);
    if (stats === undefined || hasLapsed(stats.mtimeMs)) continue;
    disks.push((await readFile(file, "utf8")).trim());
  }
  return disks.toSorted();
}

/** Removes claims that have lapsed. The caller holds the lock of the directory. */
export async function sweepClaims(directory: string): Promise<void> {
  const root = join(directory, directoryName);
  for (const digest of await readdir(root).catch(() => [])) {
    const place = join(root, digest);
    for (const name of await readdir(place).catch(() => [])) {
      const stats = await stat(join(place, name)).catch(() => undefined);
      if (stats !== undefined && hasLapsed(stats.mtimeMs)) await rm(join(place, name), { force: true });
    }
    // Fails while a claim is left.
    await rmdir(place).catch(() => {});
  }
}

function hasLapsed(mtimeMs: number): boolean {
  return Date.now() - mtimeMs > claimLapseMs;
}

/**
 * Digests that a process on this machine has open or mounted, whatever claims there are. Costs a look at every
 * process, tens of milliseconds.
 */
export async function digestsInKernel(): Promise<Set<string>> {
  const found = new Set<string>();
  const collect = (text: string): void => {
    for (const [digest] of text.matchAll(/(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])/g)) found.add(digest);
  };
  const seen = new Set<string>();
  for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
    const space = await readlink(`/proc/${pid}/ns/mnt`).catch(() => "");
    if (!seen.has(space)) {
      seen.add(space);
      collect(await readFile(`/proc/${pid}/mountinfo`, "utf8").catch(() => ""));
    }
    for (const handle of await readdir(`/proc/${pid}/fd`).catch(() => []))
      collect(await readlink(`/proc/${pid}/fd/${handle}`).catch(() => ""));
  }
  return found;
}
