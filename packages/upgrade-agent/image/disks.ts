/**
 * Private disks of domains:
 *
 *     DIRECTORY/NAME/disk.json   written last: a disk without it is half made, and made anew
 *     DIRECTORY/NAME/disk.qcow2  kind qcow2: an overlay on the image's disk
 *     DIRECTORY/NAME/{upper,work,root}  kind directory: an overlayfs mounted at root on the image's root
 *     DIRECTORY/NAME/{disk.ext4,store}  kind directory of a certain size: a file system, mounted; upper and work are in it
 *     DIRECTORY/NAME/{kernel,initramfs}  the release's own, where it brings them
 *     DIRECTORY/NAME/seed.iso    for a cloud image, once it is known who the domain is
 *
 * and what `spare-disk.ts` says.
 */
import {
  chmod,
  chown,
  copyFile,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  statfs,
  writeFile,
} from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { DiskKind, DomainDisk } from "../domain/hypervisor.ts";
import { AgentError } from "../errors.ts";
import { basePaths } from "./bases.ts";
import { isMounted, makeBounded, mountBounded, unmountAll } from "./bounded.ts";
import { diskFull, run } from "./build/command.ts";
import { idShift } from "./build/shift.ts";
import { toolsPath } from "./build/tools.ts";
import type { DiskImage, DiskOrigin, ImageKind, StoredImage } from "./contract.ts";
import { cloudDiskFile } from "./import/cloud.ts";
import { freeze, readState, stack, unstack, writeState } from "./spare-disk.ts";
import type { Claim } from "./uses.ts";

/** What disk.json says: enough to find the disk again when the newest base is another. */
interface DiskRecord {
  readonly kind: DiskKind;
  /** Whose kernel and initramfs boot it. */
  readonly baseDirectory: string;
  /** Absent in records of older builds: the base itself. */
  readonly image?: { readonly kind: ImageKind; readonly directory: string };
  /** The release's own kernel lies beside the disk. */
  readonly ownKernel?: boolean;
  /** A container's own file system. */
  readonly sizeMiB?: number;
}

/** What a disk is made of. */
export interface DiskParts {
  readonly base: Pick<StoredImage, "directory">;
  readonly image: Pick<StoredImage, "kind" | "directory">;
  readonly boot?: DiskImage["boot"];
  readonly sizeMiB?: DiskImage["sizeMiB"];
}

const recordFile = "disk.json";
const seedFile = "seed.iso";
/** Of a container whose disk has a size: the file system, and where it is mounted. */
const storeFile = "disk.ext4";
const storeDirectory = "store";
const namePattern = /^[a-z0-9][a-z0-9.-]{0,62}$/;
/** A cloud image's disk is at least as large for its domain, as our own is; it grows into it at its first boot. */
const cloudDiskBytesMin = 8 * 1024 ** 3;

export class Disks {
  readonly #directory: string;
  readonly #freeBytesMin: number;

  /** `freeBytesMin`: with less free space no disk is made, because the domain could not even unpack its release. */
  constructor(directory: string, freeBytesMin: number) {
    this.#directory = directory;
    this.#freeBytesMin = freeBytesMin;
  }

  /** Finds the disk again, mounted, when it is complete and of this kind. */
  async find(name: string, kind: DiskKind): Promise<DomainDisk | undefined> {
    const place = this.#place(name);
    const record = await readRecord(place);
    if (record?.kind !== kind) return undefined;
    if (kind === "directory" && !(await isMounted(join(place, "root"))))
      await mountOverlay(place, imageOf(record).directory, record.sizeMiB);
    return diskOf(place, record);
  }

  /** Makes it from nothing; what is half made or of another kind under this name goes first. */
  async make(name: string, kind: DiskKind, parts: DiskParts): Promise<DomainDisk> {
    const place = this.#place(name);
    checkFit(kind, parts);
    await this.remove(name);
    const { base, image, boot, sizeMiB } = parts;
    const record: DiskRecord = {
      kind,
      baseDirectory: base.directory,
      image: { kind: image.kind, directory: image.directory },
      ...(boot === undefined ? {} : { ownKernel: true }),
      ...(sizeMiB === undefined ? {} : { sizeMiB }),
    };
    try {
      await this.#makeDirectory();
      await this.#checkSpace();
      await mkdir(place, { mode: 0o711 });
      await (kind === "qcow2"
        ? makeOverlayFile(place, image, sizeMiB)
        : makeOverlayDirectory(place, image, sizeMiB));
      if (boot !== undefined) await takeKernel(place, boot);
      await writeState(place, "fresh");
      await writeFile(join(place, `${recordFile}.new`), JSON.stringify(record));
      await rename(join(place, `${recordFile}.new`), join(place, recordFile));
    } catch (error) {
      await this.remove(name);
      if ((error as NodeJS.ErrnoException).code === "ENOSPC")
        throw diskFull("Preparing a disk", place, error);
      throw error;
    }
    return diskOf(place, record);
  }

  async remove(name: string): Promise<void> {
    const place = this.#place(name);
    await unmountAll(join(place, "root"));
    await unmountAll(join(place, storeDirectory));
    await rm(place, { recursive: true, force: true });
  }

  /** Digests of the images that a disk is made of; none when it is not there or half made. */
  async digests(name: string): Promise<string[]> {
    const record = await readRecord(this.#place(name));
    if (record === undefined) return [];
    return [
      ...new Set([record.baseDirectory, imageOf(record).directory].map((directory) => basename(directory))),
    ];
  }

  /** Undefined when it is not there or half made. */
  async origin(name: string): Promise<DiskOrigin | undefined> {
    const place = this.#place(name);
    const record = await readRecord(place);
    if (record === undefined) return undefined;
    return {
      state: await readState(place),
      digests: await this.digests(name),
      kind: imageOf(record).kind,
      ownKernel: record.ownKernel === true,
    };
  }

  async use(name: string): Promise<void> {
    await writeState(this.#place(name), "used");
  }

  async freeze(name: string): Promise<void> {
    await freeze(this.#place(name), await findUser("libvirt-qemu"));
  }

  async stack(name: string, spare: string): Promise<void> {
    await stack(this.#place(name), this.#place(spare), await findUser("libvirt-qemu"));
  }

  async renew(name: string): Promise<void> {
    const place = this.#place(name);
    const record = await readRecord(place);
    if (record?.kind !== "qcow2") return;
    await makeOverlayFile(place, imageOf(record));
    await unstack(place);
    await writeState(place, "fresh");
  }

  /** What tells this disk from those of other nodes that share the images. */
  async claim(name: string): Promise<Claim> {
    await this.#makeDirectory();
    const { dev, ino } = await stat(this.#directory);
    return { disk: this.#place(name), owner: `${dev}:${ino}` };
  }

  /** Half-made ones too, so that whoever cleans up finds them. */
  async list(): Promise<string[]> {
    const entries = await readdir(this.#directory, { withFileTypes: true }).catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
      throw error;
    });
    const names = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
    return names.filter((name) => namePattern.test(name)).toSorted();
  }

  #place(name: string): string {
    if (namePattern.test(name)) return join(this.#directory, name);
    throw new AgentError(
      "E_BAD_REQUEST",
      `${JSON.stringify(name)} cannot name a disk: use a-z, 0-9, "-" and ".".`,
    );
  }

  /** Others may pass through, because the hypervisor's user and containers' root must, but not look around. */
  async #makeDirectory(): Promise<void> {
    await mkdir(this.#directory, { recursive: true });
    await chmod(this.#directory, 0o711);
    for (let above = dirname(this.#directory); above !== dirname(above); above = dirname(above)) {
      if (((await stat(above)).mode & 0o001) !== 0) continue;
      const message = `Domains cannot reach their disks, because others may not pass ${above}; run: chmod o+x ${above}`;
      throw new AgentError("E_CONFIG", message);
    }
  }

  async #checkSpace(): Promise<void> {
    const { bavail, bsize } = await statfs(this.#directory);
    if (bavail * bsize >= this.#freeBytesMin) return;
    const detail = `a disk needs ${this.#freeBytesMin / 1024 ** 2} MiB free in ${this.#directory}`;
    throw diskFull("Preparing a disk", detail);
  }
}

function imageOf(record: DiskRecord): { readonly kind: ImageKind; readonly directory: string } {
  return record.image ?? { kind: "base", directory: record.baseDirectory };
}

function diskOf(place: string, record: DiskRecord): DomainDisk {
  const { kind } = imageOf(record);
  const init = kind === "root" ? `/${toolsPath}/vm-init` : "/sbin/vm-init";
  if (record.kind === "directory") {
    const tools = { busybox: `/${toolsPath}/bin/busybox`, init };
    return { kind: "directory", path: join(place, "root"), ...(kind === "root" ? { tools } : {}) };
  }
  const path = join(place, "disk.qcow2");
  if (kind === "disk") return { kind: "bootable", path, seed: join(place, seedFile) };
  const { kernel, initramfs } = basePaths({ directory: record.baseDirectory });
  if (record.ownKernel !== true) return { kind: "qcow2", path, kernel, initramfs };
  // Words that the initramfs of any distribution reads.
  const kernelWords = ["root=LABEL=vm-root", "rw", `init=${init}`];
  return {
    kind: "qcow2",
    path,
    kernel: join(place, "kernel"),
    initramfs: join(place, "initramfs"),
    kernelWords,
  };
}

/** Throws E_IMAGE_UNFIT when a hypervisor of this kind cannot boot such an image. */
function checkFit(kind: DiskKind, { image, boot }: DiskParts): void {
  const unfit = (why: string): AgentError =>
    new AgentError("E_IMAGE_UNFIT", `The release's image does not fit: ${why}.`);
  if (kind === "directory" && image.kind === "disk")
    throw unfit(
      "a container has no boot loader; give it a root file system or an OCI archive, or use kvm or qemu",
    );
  if (kind === "directory" && boot !== undefined) throw unfit("a container runs on the host's kernel");
  if (image.kind === "disk" && boot !== undefined)
    throw unfit("a cloud image boots the kernel that is in it");
}

/** Renaming is enough where they lie on one file system; the caller's are gone then. */
async function takeKernel(place: string, boot: NonNullable<DiskImage["boot"]>): Promise<void> {
  for (const part of ["kernel", "initramfs"] as const) {
    await copyFile(boot[part], join(place, part));
    await chmod(join(place, part), 0o444);
  }
}

async function readRecord(place: string): Promise<DiskRecord | undefined> {
  try {
    return JSON.parse(await readFile(join(place, recordFile), "utf8")) as DiskRecord;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

async function makeOverlayFile(place: string, image: DiskParts["image"], sizeMiB = 0): Promise<void> {
  const file = join(place, "disk.qcow2");
  const backing = image.kind === "disk" ? join(image.directory, cloudDiskFile) : basePaths(image).disk;
  await run("qemu-img", ["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", backing, file]);
  if (image.kind === "disk") await growTo(file, Math.max(cloudDiskBytesMin, sizeMiB * 1024 ** 2));
  await chmod(file, 0o600);
  const owner = await findUser("libvirt-qemu");
  if (owner !== undefined) await chown(file, owner.uid, owner.gid);
}

async function growTo(file: string, bytesMin: number): Promise<void> {
  const described = await run("qemu-img", ["info", "--output=json", "-f", "qcow2", file]);
  const { "virtual-size": bytes } = JSON.parse(described) as { readonly "virtual-size": number };
  if (bytes < bytesMin) await run("qemu-img", ["resize", "-q", "-f", "qcow2", file, String(bytesMin)]);
}

/** The user that Debian's libvirt runs virtual machines as. Without it they run as root. */
async function findUser(name: string): Promise<{ uid: number; gid: number } | undefined> {
  const line = (await readFile("/etc/passwd", "utf8"))
    .split("\n")
    .find((entry) => entry.startsWith(`${name}:`));
  const [, , uid, gid] = line?.split(":") ?? [];
  return uid === undefined || gid === undefined ? undefined : { uid: Number(uid), gid: Number(gid) };
}

async function makeOverlayDirectory(
  place: string,
  image: DiskParts["image"],
  sizeMiB?: number,
): Promise<void> {
  await mkdir(join(place, "root"), { mode: 0o755 });
  const store = storeOf(place, sizeMiB);
  if (sizeMiB !== undefined) {
    await mkdir(store);
    await makeBounded(join(place, storeFile), sizeMiB);
    await mountBounded(join(place, storeFile), store);
  }
  for (const part of [join(store, "upper"), join(store, "work"), join(place, "root")]) {
    await mkdir(part, { mode: 0o755, recursive: true });
    await chown(part, idShift, idShift);
  }
  await mountOverlay(place, image.directory, sizeMiB);
}

/** Where upper and work are. */
function storeOf(place: string, sizeMiB: number | undefined): string {
  return sizeMiB === undefined ? place : join(place, storeDirectory);
}

async function mountOverlay(place: string, imageDirectory: string, sizeMiB?: number): Promise<void> {
  const store = storeOf(place, sizeMiB);
  if (sizeMiB !== undefined) await mountBounded(join(place, storeFile), store);
  const layers = {
    lowerdir: basePaths({ directory: imageDirectory }).root,
    upperdir: `${store}/upper`,
    workdir: `${store}/work`,
  };
  if (Object.values(layers).some((path) => /[,:\\]/.test(path))) {
    throw new AgentError(
      "E_CONFIG",
      `Directories of images and disks must not contain any of , : \\ (${place}).`,
    );
  }
  const options = Object.entries(layers).map(([name, path]) => `${name}=${path}`);
  await run("mount", ["-t", "overlay", "-o", options.join(","), "version-manager", join(place, "root")]);
}
