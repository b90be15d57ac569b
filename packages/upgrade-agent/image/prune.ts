/**
 * Removing images that nothing uses. An image is renamed first and its claims are looked at once more: a disk that
 * was being made meanwhile has either claimed before, and the image comes back, or finds that it is gone. What a
 * killed prune has left under the other name is settled by the next one, by the same rule.
 */
import { readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { infoFile } from "./bases.ts";
import type { ListedImage, PruneReport, PruneRequest } from "./contract.ts";
import { listImages } from "./images.ts";
import { digestsInKernel, sweepClaims, usesOf } from "./uses.ts";

const gonePrefix = ".gone-";

type Kept = PruneReport["kept"][number];

/** The caller holds the lock of the directory. */
export async function pruneImages(directory: string, request: PruneRequest): Promise<PruneReport> {
  await settleGone(directory);
  await sweepClaims(directory);
  const images = await listImages(directory);
  const running = await digestsInKernel();
  const { going, kept } = choose(images, running, request, Date.now());
  const removed: PruneReport["removed"][number][] = [];
  for (const { digest, kind, bytes } of going) {
    request.signal?.throwIfAborted();
    const isRemoved = request.dryRun === true || (await removeImage(directory, digest));
    if (isRemoved) removed.push({ digest, kind, bytes });
    else kept.push({ digest, kind, why: "used" });
  }
  return { removed, kept, freedBytes: removed.reduce((sum, { bytes }) => sum + bytes, 0) };
}

/** Pure. `images` are sorted by age, oldest first. */
export function choose(
  images: readonly ListedImage[],
  running: ReadonlySet<string>,
  { olderThanMs = 0, bytesMax }: PruneRequest,
  now: number,
): { going: ListedImage[]; kept: Kept[] } {
  const going: ListedImage[] = [];
  const kept: Kept[] = [];
  const used = new Set(images.filter(({ uses }) => uses.length > 0).map(({ digest }) => digest));
  for (const digest of running) used.add(digest);
  let total = images.reduce((sum, { bytes }) => sum + bytes, 0);
  for (const image of images) {
    const { digest, kind, bytes } = image;
    if (used.has(digest)) kept.push({ digest, kind, why: "used" });
    else if (image.newest) kept.push({ digest, kind, why: "newest base" });
    else if (now - image.builtAtMs < olderThanMs) kept.push({ digest, kind, why: "young" });
    else if (bytesMax !== undefined && total <= bytesMax) kept.push({ digest, kind, why: "within budget" });
    else {
      going.push(image);
      total -= bytes;
    }
  }
  return { going, kept };
}

/** False when a disk has claimed it in the meantime. */
async function removeImage(directory: string, digest: string): Promise<boolean> {
  const gone = join(directory, `${gonePrefix}${digest}`);
  await rename(join(directory, digest), gone);
  if ((await usesOf(directory, digest)).length > 0) {
    await rename(gone, join(directory, digest));
    return false;
  }
  await rm(join(gone, infoFile), { force: true });
  await rm(gone, { recursive: true, force: true });
  return true;
}

/** What a prune that was killed has left. */
export async function settleGone(directory: string): Promise<void> {
  const names: string[] = await readdir(directory).catch(() => []);
  for (const name of names.filter((candidate) => candidate.startsWith(gonePrefix))) {
    const digest = name.slice(gonePrefix.length);
    // Deleting may have begun: what is not whole any more does not come back.
    const isWhole = (await usesOf(directory, digest)).length > 0 && !names.includes(digest);
    if (isWhole && (await isComplete(join(directory, name))))
      await rename(join(directory, name), join(directory, digest));
    else await rm(join(directory, name), { recursive: true, force: true });
  }
}

/** Its description is the first to go, see `removeImage`. */
async function isComplete(directory: string): Promise<boolean> {
  return (await readdir(directory)).includes(infoFile);
}
