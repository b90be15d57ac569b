/** Building a base image: aside, under a lock, renamed when it is complete. */
import { chmod, mkdir, rename, rm, statfs, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { AgentError } from "../../errors.ts";
import { basePaths, findBase, infoFile, makeCurrent, rootDirectory } from "../bases.ts";
import type { BaseImage } from "../contract.ts";
import { Apt } from "./apt.ts";
import { halfBuiltPrefix, publish, removeHalfBuilt } from "./aside.ts";
import { diskFull, requirePrograms } from "./command.ts";
import { diskPrograms, makeDisk } from "./disk.ts";
import { makeKernel } from "./kernel.ts";
import { takeLock } from "./lock.ts";
import { readOwnParts, recipeDigest, type OwnParts, type Recipe } from "./recipe.ts";
import { makeRoot } from "./root.ts";
import { shiftOwners } from "./shift.ts";
import { makeTools, toolsDirectory } from "./tools.ts";

const kernelPackage = "linux-image-cloud-amd64";
/**
 * Bytes that a build takes at its height, with a third to spare. Asked for beforehand, because mmdebstrap keeps to
 * itself why apt stopped.
 */
const freeBytesMin = 1024 ** 3;

export interface BuildOptions {
  /** Where bases live, for example /var/cache/version-manager/images. */
  readonly directory: string;
  readonly registerTool: string;
  readonly onProgress: (step: string) => void;
  readonly signal?: AbortSignal | undefined;
}

/** Throws E_NOT_ROOT, E_IMAGE_BUILD, E_DISK_FULL. What a build that failed or died has left is removed by the next. */
export async function buildBase(options: BuildOptions): Promise<BaseImage> {
  if (process.getuid?.() !== 0) {
    throw new AgentError(
      "E_NOT_ROOT",
      "Building an image needs root, because it makes other users' files; use sudo.",
    );
  }
  if (process.arch !== "x64") {
    throw new AgentError(
      "E_IMAGE_BUILD",
      `Images are made for x86-64 only, and this machine is ${process.arch}.`,
    );
  }
  requirePrograms("apt-get", "dpkg-deb", "flock", "lz4", ...diskPrograms, "mmdebstrap", "unshare");
  try {
    await mkdir(options.directory, { recursive: true });
    const onWait = (): void => options.onProgress("waiting for another build to end");
    const release = await takeLock(join(options.directory, ".lock"), { onWait, signal: options.signal });
    try {
      return await buildLocked(options);
    } finally {
      await release();
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
    throw diskFull("The image build", options.directory, error);
  }
}

async function buildLocked(options: BuildOptions): Promise<BaseImage> {
  const { directory, onProgress, signal } = options;
  await removeHalfBuilt(directory);
  const own = await readOwnParts(options.registerTool);
  onProgress("asking Debian for the newest versions of the packages");
  const apt = new Apt(join(directory, ".apt"), signal);
  await apt.refresh();
  const recipe = await resolveRecipe(apt, own);
  const digest = recipeDigest(recipe);
  const known = await findBase(directory, digest);
  if (known !== undefined) {
    await makeCurrent(directory, digest);
    return known;
  }
  await checkSpace(directory);
  const aside = join(directory, `${halfBuiltPrefix}${digest}`);
  try {
    await mkdir(aside);
    await fill(apt, recipe, aside, options);
    await rename(aside, join(directory, digest));
    await makeCurrent(directory, digest);
  } finally {
    await rm(aside, { recursive: true, force: true });
  }
  const built = await findBase(directory, digest);
  if (built === undefined)
    throw new AgentError("E_IMAGE_BUILD", `Something removed ${directory}/${digest}; build again.`);
  onProgress("done");
  return built;
}

async function checkSpace(directory: string): Promise<void> {
  const { bavail, bsize } = await statfs(directory);
  if (bavail * bsize >= freeBytesMin) return;
  throw diskFull("The image build", `it needs ${freeBytesMin / 1024 ** 2} MiB free in ${directory}`);
}

async function resolveRecipe(apt: Apt, own: OwnParts): Promise<Recipe> {
  // What mmdebstrap's variant minbase consists of, and ours.
  const resolved = await apt.resolve(["?essential", "?priority(required)", "apt", ...own.packages]);
  const kernels = await apt.resolve([kernelPackage]);
  const kernel = kernels.find(({ name }) => /^linux-image-\d.*-cloud-amd64$/.test(name));
  if (kernel === undefined)
    throw new AgentError("E_IMAGE_BUILD", `Debian's ${kernelPackage} names no kernel.`);
  return { ...own, resolved, kernel };
}

async function fill(apt: Apt, recipe: Recipe, aside: string, options: BuildOptions): Promise<void> {
  const { onProgress, signal } = options;
  const root = join(aside, rootDirectory);
  onProgress(`installing ${recipe.resolved.length} Debian packages`);
  await makeRoot(apt, recipe, root, signal);
  onProgress(`unpacking ${recipe.kernel.name} ${recipe.kernel.version}`);
  await makeKernel(apt, recipe, root, aside, signal);
  onProgress("gathering the tools for images of another make");
  await makeTools(root, join(aside, toolsDirectory), recipe, signal);
  onProgress("making the disk for virtual machines");
  await makeDisk(root, aside, signal);
  onProgress("making the root for containers");
  const rootBytes = await shiftOwners(root);
  const paths = basePaths({ directory: aside });
  const sizes = await Promise.all([paths.disk, paths.kernel, paths.initramfs].map(publish));
  const bytes = sizes.reduce((sum, size) => sum + size, rootBytes);
  const { resolved, kernel } = recipe;
  const info = { kind: "base", bytes, builtAtMs: Date.now(), kernel, packages: resolved };
  await writeFile(join(aside, infoFile), `${JSON.stringify(info, undefined, 1)}\n`);
  await chmod(aside, 0o755);
}
