/** The images that are here, of every kind: each a directory under its digest with an `image.json`. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { currentBase, infoFile } from "./bases.ts";
import type { ListedImage, StoredImage } from "./contract.ts";
import { usesOf } from "./uses.ts";

export const digestPattern = /^[0-9a-f]{64}$/;

/** What a directory of an import says of itself in `image.json`; the rest is in its name. */
export type ImageInfo = Omit<StoredImage, "digest" | "directory">;

/** What is half made has another name, so what bears a digest is complete. */
export async function findImage(directory: string, digest: string): Promise<StoredImage | undefined> {
  if (!digestPattern.test(digest)) return undefined;
  try {
    const info = JSON.parse(await readFile(join(directory, digest, infoFile), "utf8")) as Partial<ImageInfo>;
    const { kind = "base", bytes = 0, builtAtMs = 0, source, format, base, skippedEntries, command } = info;
    const optional = { source, format, base, skippedEntries, command };
    const present = Object.fromEntries(Object.entries(optional).filter(([, value]) => value !== undefined));
    return { kind, digest, directory: join(directory, digest), bytes, builtAtMs, ...present };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** Oldest first. */
export async function listImages(directory: string): Promise<ListedImage[]> {
  const names = await readdir(directory).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  });
  const newest = (await currentBase(directory))?.digest;
  const images: ListedImage[] = [];
  for (const name of names.filter((candidate) => digestPattern.test(candidate))) {
    const image = await findImage(directory, name);
    if (image === undefined) continue;
    images.push({ ...image, uses: await usesOf(directory, name), newest: name === newest });
  }
  return images.toSorted((a, b) => a.builtAtMs - b.builtAtMs);
}
