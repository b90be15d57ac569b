/** Taking an image from a file: looked at, unpacked aside, renamed when it is whole. */
import { createHash } from "node:crypto";
import { constants, createReadStream } from "node:fs";
import { chmod, copyFile, mkdir, open, rename, rm, stat, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { AgentError } from "../../errors.ts";
import { basePaths, currentBase, infoFile, rootDirectory } from "../bases.ts";
import { halfBuiltPrefix, publish, removeHalfBuilt } from "../build/aside.ts";
import { diskFull, requirePrograms } from "../build/command.ts";
import { archiveTree, diskFile, diskPrograms, makeDisk } from "../build/disk.ts";
import { takeLock } from "../build/lock.ts";
import { shiftOwners } from "../build/shift.ts";
import type { ImportFormat, ImportRequest, StoredImage } from "../contract.ts";
import { findImage, type ImageInfo } from "../images.ts";
import { settleGone } from "../prune.ts";
import { decompressed, openArchive } from "./archive.ts";
import { cloudDiskFile, takeCloudDisk } from "./cloud.ts";
import { imageProgram, noProgram, type ImageProgram } from "./config.ts";
import { formatOf } from "./detect.ts";
import { graftTools } from "./graft.ts";
import { IMAGE_FILE_BYTES_MAX } from "./limits.ts";
import { format } from "./tar-stream.ts";
import { Unpacker } from "./unpack.ts";

interface Work {
  readonly request: ImportRequest;
  /** Becomes the image's directory. */
  readonly aside: string;
  /** A copy of what is imported, which nobody changes meanwhile. */
  readonly file: string;
  /** The directory of all images. */
  readonly directory: string;
  readonly say: (step: string) => void;
}

/** See `ImageStore.import`. What an import that died has left is removed by the next. */
export async function importImage(directory: string, request: ImportRequest): Promise<StoredImage> {
  const known = request.digest === undefined ? undefined : await findImage(directory, request.digest);
  if (known !== undefined) return known;
  if (process.getuid?.() !== 0)
    throw new AgentError("E_NOT_ROOT", "Importing an image makes other users' files; use sudo.");
  requirePrograms(...diskPrograms, "flock", "prlimit");
  try {
    await mkdir(directory, { recursive: true });
    const say = request.onProgress ?? (() => {});
    const onWait = (): void => say("waiting for another build or import to end");
    const release = await takeLock(join(directory, ".lock"), { onWait, signal: request.signal });
    try {
      await removeHalfBuilt(directory);
      await settleGone(directory);
      return await importLocked(directory, request, say);
    } finally {
      await release();
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
    throw diskFull("The import", directory, error);
  }
}

async function importLocked(
  directory: string,
  request: ImportRequest,
  say: (step: string) => void,
): Promise<StoredImage> {
  const aside = join(directory, `${halfBuiltPrefix}import`);
  try {
    // Nobody may look into a root, or start what in it bears set-user-ID, before its owners are shifted.
    await mkdir(aside, { mode: 0o700 });
    const file = join(aside, "import");
    await takeCopy(request, file, say);
    const digest = await digestOf(file);
    checkDigest(request, digest);
    const known = await findImage(directory, digest);
    if (known !== undefined) return known;
    const info = await fill({ request, aside, file, directory, say });
    await rm(file);
    await writeFile(join(aside, infoFile), `${JSON.stringify(info, undefined, 1)}\n`);
    await chmod(aside, 0o755);
    await rename(aside, join(directory, digest));
    const made = await findImage(directory, digest);
    if (made === undefined)
      throw new AgentError("E_NO_IMAGE", `Something removed ${digest}; import it again.`);
    return made;
  } finally {
    await rm(aside, { recursive: true, force: true });
  }
}

async function takeCopy(
  { path, signal }: ImportRequest,
  file: string,
  say: (step: string) => void,
): Promise<void> {
  const stats = await stat(path).catch((error: unknown) => {
    throw format(`${path} is not there`, error);
  });
  if (stats.isDirectory()) {
    say("packing the directory");
    await archiveTree(path, file, signal);
    return;
  }
  if (!stats.isFile()) throw format(`${path} is neither a file nor a directory`);
  if (stats.size > IMAGE_FILE_BYTES_MAX) throw format(`${path} has more than ${IMAGE_FILE_BYTES_MAX} bytes`);
  say("reading the file");
  await copyFile(path, file, constants.COPYFILE_FICLONE);
}

async function digestOf(file: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(file, { highWaterMark: 1024 * 1024 }), hash);
  return hash.digest("hex");
}

function checkDigest({ path, digest }: ImportRequest, found: string): void {
  if (digest === undefined || digest === found) return;
  const message = `${path} has the SHA-256 ${found}, not ${digest}; fetch it again, from where the digest is from.`;
  throw new AgentError("E_IMAGE_ALTERED", message);
}

async function fill(work: Work): Promise<ImageInfo> {
  const { request, file, say } = work;
  const found = (await stat(request.path)).isDirectory() ? "directory" : await formatOf(file);
  const source = request.source ?? basename(request.path);
  if (found === "qcow2" || found === "raw") {
    say(`copying the ${found} disk`);
    // qemu-img runs as nobody, who has to get there.
    await chmod(work.aside, 0o711);
    await takeCloudDisk(file, found, work.aside, request.signal);
    const bytes = await publish(join(work.aside, cloudDiskFile));
    return { kind: "disk", bytes, builtAtMs: Date.now(), source, format: found };
  }
  return fillRoot(work, found, source);
}

async function fillRoot(work: Work, found: ImportFormat, source: string): Promise<ImageInfo> {
  const { request, aside, directory, say } = work;
  const base = await currentBase(directory);
  if (base === undefined || !(await isThere(basePaths(base).tools))) {
    const message =
      "A root file system needs the kernel and the tools of a base image; make one with: vm-upgrade image build";
    throw new AgentError("E_NO_BASE_IMAGE", message);
  }
  const root = join(aside, rootDirectory);
  await mkdir(root, { mode: 0o755 });
  const unpacker = new Unpacker(root, { signal: request.signal });
  const program = await unpack(unpacker, work, found);
  await unpacker.finish();
  await graftTools(root, basePaths(base).tools, program);
  say("making the disk for virtual machines");
  await makeDisk(root, aside, request.signal);
  say("making the root for containers");
  const rootBytes = await shiftOwners(root);
  const bytes = rootBytes + (await publish(join(aside, diskFile)));
  const info = {
    kind: "root",
    bytes,
    builtAtMs: Date.now(),
    source,
    format: found,
    base: base.digest,
  } as const;
  const { skipped } = unpacker;
  return { ...info, skippedEntries: skipped, command: program.command };
}

async function unpack(unpacker: Unpacker, work: Work, found: ImportFormat): Promise<ImageProgram> {
  const { file, aside, say, request } = work;
  if (found === "tarball" || found === "directory") {
    say("unpacking the root file system");
    await unpacker.layer(decompressed(file));
    return noProgram;
  }
  const scratch = join(aside, "layers");
  await mkdir(scratch, { mode: 0o700 });
  say("taking the archive apart");
  const archive = await openArchive(file, scratch, request.signal);
  const program = imageProgram(archive.config);
  for (const [at, layer] of archive.layers.entries()) {
    say(`unpacking layer ${at + 1} of ${archive.layers.length}`);
    await unpacker.layer(layer.open());
  }
  await rm(scratch, { recursive: true });
  return program;
}

async function isThere(path: string): Promise<boolean> {
  const handle = await open(path).catch(() => undefined);
  await handle?.close();
  return handle !== undefined;
}
