/** Makes a release of a directory: a deterministic tarball, and beside it the signed statement about it. */
import { createWriteStream } from "node:fs";
import { mkdir, open, realpath, rename, rm } from "node:fs/promises";
import { join, relative, resolve, sep } from "node:path";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { Pack } from "tar";
import { AgentError } from "../errors.ts";
import { makeTorrent } from "../swarm/make-torrent.ts";
import { encodeEnvelope, loadPrivateKey, signStatement } from "../trust/index.ts";
import type { Envelope, Manifest } from "./contract.ts";
import { digestFile } from "./digest.ts";
import { diskFull, isMissing, syncDirectory, syncFile, writeFileAtomically } from "./files.ts";
import { checkNamedFiles, MANIFEST_FILE } from "./inspect.ts";
import { MANIFEST_BYTES_MAX, RELEASE_BYTES_MAX } from "./limits.ts";
import { parseManifest } from "./manifest.ts";
import { readTree, type TreeEntry, type TreeLimits } from "./tree.ts";

export interface PackRequest extends TreeLimits {
  /** Holds `version.json` and everything that belongs into `/opt/app` of the domain. */
  readonly directory: string;
  /** Where the two files go, made when absent; must lie outside `directory`. Default: the working directory. */
  readonly outputDirectory?: string;
  /** The fleet's private key. */
  readonly keyFile: string;
  /** Bytes that the tarball may have, default 2 GiB. */
  readonly releaseBytesMax?: number;
  readonly onProgress?: (progress: PackProgress) => void;
}

export interface PackProgress {
  /** Bytes of the tree read so far, tar headers included. */
  readonly readBytes: number;
  readonly totalBytes: number;
}

export interface PackedRelease {
  readonly manifest: Manifest;
  readonly tarball: string;
  readonly envelopeFile: string;
  readonly envelope: Envelope;
  readonly bytes: number;
  readonly sha256: string;
  readonly infohash: string;
}

/** Name of a release's tarball, and of the file in its torrent. */
export function tarballName({ service, label }: Pick<Manifest, "service" | "label">): string {
  return `${service}-${label}.tar.gz`;
}

/**
 * The same bytes for the same tree, by the same version of Node (its zlib decides about the compressed form).
 * Throws `E_NOT_A_RELEASE`, `E_MANIFEST`, `E_TOO_LARGE`, `E_NO_KEY`, `E_CONFIG`, `E_USAGE`, `E_DISK_FULL`; then nothing
 * is written.
 */
export async function packRelease(request: PackRequest): Promise<PackedRelease> {
  const directory = resolve(request.directory);
  const manifest = await readManifest(directory);
  const entries = await readTree(directory, request);
  const files = new Set(entries.filter(({ stats }) => stats.isFile()).map(({ path }) => path));
  checkNamedFiles(manifest, files);
  await loadPrivateKey(request.keyFile);
  const outputDirectory = resolve(request.outputDirectory ?? ".");
  await mkdir(outputDirectory, { recursive: true });
  await refuseInside(
    directory,
    outputDirectory,
    "E_USAGE",
    "is inside the release itself; name another output directory",
  );
  await refuseInside(
    directory,
    request.keyFile,
    "E_CONFIG",
    "is the private key and would go to every node; move it away",
  );
  const tarball = join(outputDirectory, tarballName(manifest));
  const aside = `${tarball}.new`;
  try {
    await writeTarball(directory, entries, aside, request);
    await syncFile(aside);
    const { length, sha256 } = await digestFile(aside);
    const { infohash } = await makeTorrent(aside, tarballName(manifest));
    const envelope = await signStatement(
      { kind: "release", manifest, length, sha256, infohash },
      request.keyFile,
    );
    const envelopeFile = join(outputDirectory, `${manifest.service}-${manifest.label}.release.json`);
    await rename(aside, tarball);
    await writeFileAtomically(envelopeFile, encodeEnvelope(envelope));
    await syncDirectory(outputDirectory);
    return { manifest, tarball, envelopeFile, envelope, bytes: length, sha256, infohash };
  } catch (error) {
    await rm(aside, { force: true });
    throw diskFull(error, outputDirectory);
  }
}

async function readManifest(directory: string): Promise<Manifest> {
  const file = join(directory, MANIFEST_FILE);
  const handle = await open(file, "r").catch((error: unknown) => {
    if (!isMissing(error)) throw error;
    throw new AgentError(
      "E_NOT_A_RELEASE",
      `There is no ${file}; write one, docs/MANIFEST.md says how.`,
      error,
    );
  });
  try {
    const buffer = Buffer.alloc(MANIFEST_BYTES_MAX + 1);
    const { bytesRead } = await handle.read(buffer, 0, buffer.byteLength, 0);
    return parseManifest(buffer.subarray(0, bytesRead));
  } finally {
    await handle.close();
  }
}

/** Compares real paths, so that a link on the way changes nothing. */
async function refuseInside(
  tree: string,
  path: string,
  code: "E_USAGE" | "E_CONFIG",
  why: string,
): Promise<void> {
  const way = relative(await realpath(tree), await realpath(path));
  if (way === ".." || way.startsWith(`..${sep}`)) return;
  throw new AgentError(code, `${path} ${why}.`);
}

async function writeTarball(
  directory: string,
  entries: readonly TreeEntry[],
  file: string,
  { releaseBytesMax = RELEASE_BYTES_MAX, onProgress }: PackRequest,
): Promise<void> {
  const totalBytes = entries.reduce((sum, { stats }) => sum + (stats.isFile() ? stats.size : 0), 0);
  let readBytes = 0;
  let packedBytes = 0;
  const read = async function* (chunks: AsyncIterable<Buffer>) {
    for await (const chunk of chunks) {
      readBytes += chunk.byteLength;
      onProgress?.({ readBytes, totalBytes });
      yield chunk;
    }
  };
  const bound = async function* (chunks: AsyncIterable<Buffer>) {
    for await (const chunk of chunks) {
      packedBytes += chunk.byteLength;
      if (packedBytes > releaseBytesMax) {
        throw new AgentError(
          "E_TOO_LARGE",
          `The release has more than ${releaseBytesMax} bytes; leave something out.`,
        );
      }
      yield chunk;
    }
  };
  await pipeline(
    tarStream(directory, entries),
    read,
    createGzip({ level: 6 }),
    bound,
    createWriteStream(file),
  );
}

async function* tarStream(directory: string, entries: readonly TreeEntry[]): AsyncGenerator<Buffer> {
  // A file with several names would become a hard link, so that the bytes would depend on how the tree was copied here.
  const statCache = new Map(
    entries.map(({ path, stats }) => [join(directory, path), Object.assign(stats, { nlink: 1 })] as const),
  );
  const pack = new Pack({
    cwd: directory,
    portable: true,
    noDirRecurse: true,
    strict: true,
    statCache,
    mtime: new Date(0),
  });
  for (const { path } of entries) pack.add(path);
  pack.end();
  yield* pack as AsyncIterable<Buffer>;
}
