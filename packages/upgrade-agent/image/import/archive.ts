/**
 * The two archives that `podman save` and `docker save` write: an OCI image layout (`oci-layout`, `index.json`,
 * `blobs/`; image specification 1.1) and Docker's own (`manifest.json`, a configuration and a tarball per layer).
 */
import { createHash } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { join, posix } from "node:path";
import type { Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { z } from "zod";
import { archivePath } from "./inside.ts";
import { ARCHIVE_ENTRIES_MAX, DOCUMENT_BYTES_MAX, IMAGE_FILE_BYTES_MAX, LAYERS_MAX } from "./limits.ts";
import { format, tarEntries } from "./tar-stream.ts";

export interface OpenedArchive {
  readonly layout: "oci" | "docker";
  /** The image's configuration, not yet checked. */
  readonly config: unknown;
  /** Tar streams, unpacked, lowest first. The stream throws E_IMAGE_FORMAT at its end when its digest is another. */
  readonly layers: readonly { readonly open: () => AsyncIterable<Buffer> }[];
}

/** Files of the archive by their paths in it; each lies in the scratch directory under a number. */
type Parts = ReadonlyMap<string, string>;

const digestPattern = /^sha256:[0-9a-f]{64}$/;
const descriptor = z.object({
  mediaType: z.string().max(256).optional(),
  digest: z.string().regex(digestPattern),
  platform: z.object({ architecture: z.string().max(64), os: z.string().max(64) }).optional(),
});
const index = z.object({ manifests: z.array(descriptor).min(1).max(64) });
const manifest = z.object({ config: descriptor, layers: z.array(descriptor).max(LAYERS_MAX) });
const dockerManifest = z
  .array(z.object({ Config: z.string().max(4096), Layers: z.array(z.string().max(4096)).max(LAYERS_MAX) }))
  .min(1)
  .max(64);
const diffIds = z.object({
  rootfs: z.object({ diff_ids: z.array(z.string().regex(digestPattern)).max(LAYERS_MAX) }),
});

/** Unpacks the archive (not its layers) into `scratch`. Throws E_IMAGE_FORMAT. */
export async function openArchive(
  file: string,
  scratch: string,
  signal?: AbortSignal,
): Promise<OpenedArchive> {
  const parts = await takeApart(file, scratch, signal);
  if (parts.has("oci-layout")) return openOci(parts);
  if (parts.has("manifest.json")) return openDocker(parts);
  throw format(
    `it holds neither oci-layout nor manifest.json; make one with "podman save" or "docker save", one image only`,
  );
}

async function takeApart(file: string, scratch: string, signal?: AbortSignal): Promise<Parts> {
  const parts = new Map<string, string>();
  const links = new Map<string, string>();
  let count = 0;
  let bytes = 0;
  for await (const entry of tarEntries(decompressed(file))) {
    signal?.throwIfAborted();
    count += 1;
    bytes += entry.size;
    if (count > ARCHIVE_ENTRIES_MAX) throw format(`it has more than ${ARCHIVE_ENTRIES_MAX} entries`);
    if (bytes > IMAGE_FILE_BYTES_MAX) throw format(`it unpacks to more than ${IMAGE_FILE_BYTES_MAX} bytes`);
    const path = archivePath(entry.path);
    if (entry.type === "SymbolicLink" || entry.type === "Link") {
      const from = entry.type === "Link" ? "" : posix.dirname(path);
      links.set(path, posix.join(from, entry.linkpath));
    } else if (entry.type === "File" || entry.type === "OldFile") {
      const part = join(scratch, String(count));
      await pipeline(entry.body, createWriteStream(part, { flags: "wx", mode: 0o600 }));
      parts.set(path, part);
    }
  }
  // Docker's archives share layers between images by links to the one copy.
  for (const [path, target] of links) {
    const part = parts.get(target);
    if (part !== undefined && !parts.has(path)) parts.set(path, part);
  }
  return parts;
}

async function openOci(parts: Parts): Promise<OpenedArchive> {
  const listed = index.safeParse(await document(part(parts, "index.json")));
  if (!listed.success) throw format("its index.json is wrong", listed.error);
  const first = await ownPlatform(parts, listed.data.manifests, 0);
  const found = manifest.safeParse(await blobDocument(parts, first));
  if (!found.success) throw format("its manifest is wrong", found.error);
  const config = await blobDocument(parts, found.data.config.digest);
  const layers = found.data.layers.map(({ digest }) => ({ file: blob(parts, digest), digest }));
  return { layout: "oci", config, layers: await checkedLayers(config, layers) };
}

/** An index may list an index, for several platforms; ours is taken, or the only one. */
async function ownPlatform(
  parts: Parts,
  manifests: z.infer<typeof index>["manifests"],
  depth: number,
): Promise<string> {
  const own = manifests.find(({ platform }) => platform?.architecture === "amd64" && platform.os === "linux");
  const chosen = own ?? (manifests.length === 1 ? manifests[0] : undefined);
  if (chosen === undefined)
    throw format("it holds several images and none says linux/amd64; save one image by its name");
  if (!/index|manifest\.list/.test(chosen.mediaType ?? "")) return chosen.digest;
  const inner = index.safeParse(await blobDocument(parts, chosen.digest));
  if (!inner.success || depth > 1) throw format("its inner index is wrong");
  return ownPlatform(parts, inner.data.manifests, depth + 1);
}

async function openDocker(parts: Parts): Promise<OpenedArchive> {
  const listed = dockerManifest.safeParse(await document(part(parts, "manifest.json")));
  if (!listed.success) throw format("its manifest.json is wrong", listed.error);
  const [image] = listed.data;
  if (image === undefined || listed.data.length > 1)
    throw format("it holds several images; save one image by its name");
  const config = await document(part(parts, archivePath(image.Config)));
  const layers = image.Layers.map((path) => ({ file: part(parts, archivePath(path)), digest: undefined }));
  return { layout: "docker", config, layers: await checkedLayers(config, layers) };
}

/** Each layer's digest as stored, where the manifest names it, and as unpacked, which the configuration names. */
async function checkedLayers(
  config: unknown,
  layers: readonly { readonly file: string; readonly digest: string | undefined }[],
): Promise<OpenedArchive["layers"]> {
  const parsed = diffIds.safeParse(config);
  if (!parsed.success) throw format("its configuration lacks rootfs.diff_ids", parsed.error);
  const expected = parsed.data.rootfs.diff_ids;
  if (expected.length !== layers.length)
    throw format("its configuration counts other layers than its manifest");
  for (const { file, digest } of layers) if (digest !== undefined) await checkDigest(file, digest);
  return layers.map(({ file }, at) => ({ open: () => hashed(decompressed(file), String(expected[at])) }));
}

async function checkDigest(file: string, digest: string): Promise<void> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(file), hash);
  if (`sha256:${hash.digest("hex")}` !== digest) throw format(`a part of it is not ${digest}; it is damaged`);
}

async function* hashed(chunks: AsyncIterable<Buffer>, digest: string): AsyncGenerator<Buffer> {
  const hash = createHash("sha256");
  for await (const chunk of chunks) {
    hash.update(chunk);
    yield chunk;
  }
  if (`sha256:${hash.digest("hex")}` !== digest)
    throw format(`a layer of it is not ${digest}; it is damaged`);
}

/** A file's bytes; gzip and zstd are known by their first bytes and undone. Throws E_IMAGE_FORMAT when damaged. */
export async function* decompressed(file: string): AsyncGenerator<Buffer> {
  const source = createReadStream(file, { highWaterMark: 256 * 1024 });
  try {
    const decoder = decoderOf(await firstBytes(file));
    if (decoder === undefined) {
      yield* source as AsyncIterable<Buffer>;
      return;
    }
    source.once("error", (error) => decoder.destroy(error));
    yield* source.pipe(decoder) as AsyncIterable<Buffer>;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "";
    if (code.startsWith("Z_") || code.startsWith("ZSTD")) throw format("it is compressed wrongly", error);
    throw error;
  } finally {
    source.destroy();
  }
}

function decoderOf(magic: string): Transform | undefined {
  if (magic.startsWith("1f8b")) return createGunzip({ chunkSize: 256 * 1024 });
  return magic === "28b52ffd" ? createZstdDecompress({ chunkSize: 256 * 1024 }) : undefined;
}

async function firstBytes(file: string): Promise<string> {
  for await (const chunk of createReadStream(file, { end: 3 })) return (chunk as Buffer).toString("hex");
  return "";
}

async function document(file: string): Promise<unknown> {
  if ((await stat(file)).size > DOCUMENT_BYTES_MAX)
    throw format(`a document of it has more than ${DOCUMENT_BYTES_MAX} bytes`);
  try {
    return JSON.parse(await readFile(file, "utf8")) as unknown;
  } catch (error) {
    throw format("a document of it is not JSON", error);
  }
}

async function blobDocument(parts: Parts, digest: string): Promise<unknown> {
  const file = blob(parts, digest);
  await checkDigest(file, digest);
  return document(file);
}

function blob(parts: Parts, digest: string): string {
  return part(parts, `blobs/${digest.replace(":", "/")}`);
}

function part(parts: Parts, path: string): string {
  const file = parts.get(path);
  if (file === undefined) throw format(`it lacks its own part ${JSON.stringify(path.slice(0, 200))}`);
  return file;
}
