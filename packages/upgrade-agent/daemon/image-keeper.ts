/** Once an hour: this node says which images its disks use, and images that nobody uses make room. */
import { setTimeout as sleep } from "node:timers/promises";
import type { ImageStore } from "../image/index.ts";
import type { AgentConfig } from "./config.ts";

export interface ImageKeeperOptions {
  readonly images: Pick<ImageStore, "renewUses" | "prune">;
  readonly config: Pick<AgentConfig, "imageCacheMiB" | "imageUnusedHoursMin">;
  readonly log: (line: string) => void;
}

const everyMs = 60 * 60 * 1000;

/** Runs until the signal aborts. What fails is told and tried again an hour later. */
export async function keepImages(options: ImageKeeperOptions, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await keepImagesOnce(options, signal).catch((error: unknown) => {
      if (!signal.aborted) options.log(`images: ${(error as Error).message}`);
    });
    await sleep(everyMs, undefined, { signal, ref: false }).catch(() => {});
  }
}

/** First the claims, so that a node that was away for long does not lose what it has. */
export async function keepImagesOnce(options: ImageKeeperOptions, signal: AbortSignal): Promise<void> {
  const { images, config, log } = options;
  await images.renewUses();
  const { removed, freedBytes } = await images.prune({
    bytesMax: config.imageCacheMiB * 1024 ** 2,
    olderThanMs: config.imageUnusedHoursMin * 3_600_000,
    signal,
  });
  if (removed.length === 0) return;
  const digests = removed.map(({ digest }) => digest.slice(0, 12)).join(", ");
  log(`images: ${digests} had no use; ${Math.round(freedBytes / 1024 ** 2)} MiB are free again`);
}
