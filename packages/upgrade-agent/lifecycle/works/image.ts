/** The disk of a version, on the image that its release wants; what the release brings itself is taken out first. */
import { rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { DiskImage } from "../../image/contract.ts";
import type { DomainDisk } from "../../domain/hypervisor.ts";
import { AgentError } from "../../errors.ts";
import { INITRAMFS_BYTES_MAX, KERNEL_BYTES_MAX } from "../../image/index.ts";
import type { ImageChoice } from "../../release/contract.ts";
import type { Upgrade } from "../machine.ts";
import { domainName, type WorkContext } from "./context.ts";

/** Finds it again when it is there. Throws as `ImageStore.import` and `prepareDisk` do. */
export async function ensureDisk(
  context: WorkContext,
  upgrade: Upgrade,
  signal: AbortSignal,
): Promise<DomainDisk> {
  const name = domainName(context.config, upgrade);
  const { diskKind } = context.hypervisor;
  const found = await context.images.findDisk(name, diskKind);
  if (found !== undefined) return found;
  const { manifest } = (await context.releases.metadata(upgrade.service, upgrade.version)).statement;
  const { image } = manifest;
  const size = manifest.diskMiB === undefined ? {} : { sizeMiB: manifest.diskMiB };
  if (image === undefined) return context.images.prepareDisk(name, diskKind, size);
  // Of an earlier attempt too.
  const scratch = join(context.config.stateDirectory, "images", name);
  await rm(scratch, { recursive: true, force: true });
  try {
    const boot = await ownKernel(context, upgrade, image, scratch);
    const digest = await digestOf(context, upgrade, image, scratch, signal);
    const wanted: DiskImage = {
      ...size,
      ...(digest === undefined ? {} : { digest }),
      ...(boot === undefined ? {} : { boot }),
    };
    return await context.images.prepareDisk(name, diskKind, wanted);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** Undefined: the newest base. */
async function digestOf(
  context: WorkContext,
  upgrade: Upgrade,
  image: ImageChoice,
  scratch: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (image.import !== undefined) return image.import;
  if (image.base !== undefined) return image.base === "newest" ? undefined : image.base;
  const path = image.oci ?? image.root ?? "";
  const file = await takeOut(context, upgrade, path, join(scratch, "root"));
  const stored = await context.images.import({
    path: file,
    source: `${upgrade.service} ${upgrade.version}: ${path}`,
    onProgress: (step) => context.note(upgrade, "image", step),
    signal,
  });
  context.note(upgrade, "image", `${stored.format ?? stored.kind} ${stored.digest.slice(0, 12)}`);
  return stored.digest;
}

async function ownKernel(
  context: WorkContext,
  upgrade: Upgrade,
  image: ImageChoice,
  scratch: string,
): Promise<DiskImage["boot"]> {
  if (image.kernel === undefined || image.initramfs === undefined) return undefined;
  const kernel = await takeOut(context, upgrade, image.kernel, join(scratch, "kernel"));
  const initramfs = await takeOut(context, upgrade, image.initramfs, join(scratch, "initramfs"));
  await checkSize(kernel, KERNEL_BYTES_MAX);
  await checkSize(initramfs, INITRAMFS_BYTES_MAX);
  return { kernel, initramfs };
}

/** Out of the tarball, whose hash was checked against the signed one when it came. */
async function takeOut(
  context: WorkContext,
  { service, version }: Upgrade,
  path: string,
  directory: string,
): Promise<string> {
  await context.releases.extract(service, version, directory, path);
  return join(directory, path);
}

async function checkSize(file: string, bytesMax: number): Promise<void> {
  const { size } = await stat(file);
  if (size <= bytesMax) return;
  throw new AgentError("E_TOO_LARGE", `${file} has ${size} bytes; at most ${bytesMax} are booted.`);
}
