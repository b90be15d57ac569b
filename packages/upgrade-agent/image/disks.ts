/**
 * Private disks of domains:
 *
 *     DIRECTORY/NAME/disk.json   written last: a disk without it is half made, and made anew
 *     DIRECTORY/NAME/disk.qcow2  kind qcow2: an overlay on the base's disk
 *     DIRECTORY/NAME/{upper,work,root}  kind directory: an overlayfs mounted at root on the base's root
 */
import {
  chmod,
  chown,
  mkdir,
  readFile,
  readdir,
  rename,
  rm,
  stat,
  statfs,
  writeFile,
} from "node:fs/promises";
import { dirname, join } from "node:path";
import { AgentError } from "../errors.ts";
import { basePaths } from "./bases.ts";
import { diskFull, run } from "./build/command.ts";
import { idShift } from "./build/shift.ts";
import type { BaseImage } from "./contract.ts";
import type { DomainDisk } from "../domain/hypervisor.ts";

/** What disk.json says: enough to find the disk again when the newest base is another. */
interface DiskRecord {
  readonly kind: DomainDisk["kind"];
  readonly baseDirectory: string;
}

const recordFile = "disk.json";
const namePattern = /^[a-z0-9][a-z0-9.-]{0,62}$/;

export class Disks {
  readonly #directory: string;
  readonly #freeBytesMin: number;

  /** `freeBytesMin`: with less free space no disk is made, because the domain could not even unpack its release. */
  constructor(directory: string, freeBytesMin: number) {
    this.#directory = directory;
    this.#freeBytesMin = freeBytesMin;
  }

  /** Finds the disk again, mounted, when it is complete and of this kind. */
  async find(name: string, kind: DomainDisk["kind"]): Promise<DomainDisk | undefined> {
    const place = this.#place(name);
    const record = await readRecord(place);
    if (record?.kind !== kind) return undefined;
    if (kind === "directory" && !(await isMounted(join(place, "root"))))
      await mountOverlay(place, record.baseDirectory);
    return diskOf(place, record);
  }

  /** Makes it on `base` from nothing; what is half made or of another kind under this name goes first. */
  async make(name: string, kind: DomainDisk["kind"], base: BaseImage): Promise<DomainDisk> {
    const place = this.#place(name);
    await this.remove(name);
    const record: DiskRecord = { kind, baseDirectory: base.directory };
    try {
      await this.#makeDirectory();
      await this.#checkSpace();
      await mkdir(place, { mode: 0o711 });
      await (kind === "qcow2" ? makeOverlayFile(place, base) : makeOverlayDirectory(place, base));
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
    await rm(place, { recursive: true, force: true });
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

function diskOf(place: string, record: DiskRecord): DomainDisk {
  if (record.kind === "directory") return { kind: "directory", path: join(place, "root") };
  const { kernel, initramfs } = basePaths({ directory: record.baseDirectory });
  return { kind: "qcow2", path: join(place, "disk.qcow2"), kernel, initramfs };
}

async function readRecord(place: string): Promise<DiskRecord | undefined> {
  try {
    return JSON.parse(await readFile(join(place, recordFile), "utf8")) as DiskRecord;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

async function makeOverlayFile(place: string, base: BaseImage): Promise<void> {
  const file = join(place, "disk.qcow2");
  await run("qemu-img", ["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", basePaths(base).disk, file]);
  await chmod(file, 0o600);
  const owner = await findUser("libvirt-qemu");
  if (owner !== undefined) await chown(file, owner.uid, owner.gid);
}

/** The user that Debian's libvirt runs virtual machines as. Without it they run as root. */
async function findUser(name: string): Promise<{ uid: number; gid: number } | undefined> {
  const line = (await readFile("/etc/passwd", "utf8"))
    .split("\n")
    .find((entry) => entry.startsWith(`${name}:`));
  const [, , uid, gid] = line?.split(":") ?? [];
  return uid === undefined || gid === undefined ? undefined : { uid: Number(uid), gid: Number(gid) };
}

async function makeOverlayDirectory(place: string, base: BaseImage): Promise<void> {
  for (const part of ["upper", "work", "root"]) {
    await mkdir(join(place, part), { mode: 0o755 });
    await chown(join(place, part), idShift, idShift);
  }
  await mountOverlay(place, base.directory);
}

async function mountOverlay(place: string, baseDirectory: string): Promise<void> {
  const layers = {
    lowerdir: basePaths({ directory: baseDirectory }).root,
    upperdir: `${place}/upper`,
    workdir: `${place}/work`,
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

/** A busy mount is detached: whoever still uses it keeps it, but the name is free. */
async function unmountAll(target: string): Promise<void> {
  while (await isMounted(target)) await run("umount", ["--lazy", target]);
}

async function isMounted(target: string): Promise<boolean> {
  const mounts = await readFile("/proc/self/mountinfo", "utf8");
  const escaped = target.replaceAll("\\", "\\134").replaceAll(" ", "\\040");
  return mounts.split("\n").some((line) => line.split(" ")[4] === escaped);
}
