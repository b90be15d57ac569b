/**
 * Root disks of emulated machines that run a real hypervisor, built by the product's own image code and kept by content
 * in /var/cache/version-manager/nested.
 *
 * How a test uses these files (nested-kvm.long.ts is the example):
 *
 *     const root = await buildRoot({ packages: [...hostPackages, "xen-system-amd64"], onProgress });
 *     const host = await startHost({ name: "xen", root, payload: [repositoryTree(), ...imageTrees(base)],
 *       cpu: "Opteron_G3", vcpus: 1, memoryMiB: 2048, modules: [], onProgress,
 *       boot: (commandLine) => ["-kernel", …, "-append", …, "-initrd", …] });
 *     t.teardown(() => host.stop());
 *     await reportInside(t, host, "packages/upgrade-agent/test/nested/inside/….ts");
 *     await keepRecord(host, "xen", directory);
 *
 * Inside, the repository lies in /repository, with its dist and node_modules, and Node is on the search path;
 * /var/cache/version-manager/images is there with the newest base. `root.boot` has Xen.
 */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { chmod, copyFile, mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Apt } from "../../../image/build/apt.ts";
import { removeHalfBuilt, halfBuiltPrefix } from "../../../image/build/aside.ts";
import { requirePrograms } from "../../../image/build/command.ts";
import { diskFile, diskPrograms, makeDisk } from "../../../image/build/disk.ts";
import { initramfs, initramfsFile } from "../../../image/build/kernel.ts";
import { takeLock } from "../../../image/build/lock.ts";
import { defaultRegisterTool, readOwnParts, recipeDigest } from "../../../image/build/recipe.ts";
import type { OwnFile, Recipe } from "../../../image/build/recipe.ts";
import { makeRoot } from "../../../image/build/root.ts";

export const nestedCache = "/var/cache/version-manager/nested";

const here = dirname(fileURLToPath(import.meta.url));
const kernelFile = "vmlinuz";
const genericKernel = "linux-image-amd64";

/** What every such machine has: libvirt with its drivers, QEMU, and what the product and its tests call. */
export const hostPackages: readonly string[] = [
  ["apt-utils", "bpftool", "busybox-static", "dropbear-bin", "e2fsprogs", "ethtool", "genext2fs"],
  ["iproute2", "iputils-ping", "kmod", "libvirt-clients", "libvirt-daemon", "libvirt-daemon-driver-lxc"],
  ["libvirt-daemon-driver-qemu", "lz4", "mmdebstrap", "mount", "nftables", "procps", "qemu-system-x86"],
  ["qemu-utils", "tini", "usr-is-merged", "util-linux", genericKernel],
].flat();

/** Each after those that it needs; Debian's generic kernel has even ext4 as a module. */
const initramfsModules = [
  ["virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci", "virtio_blk"],
  ["virtio-rng", "failover", "net_failover", "virtio_net"],
  ["crc16", "mbcache", "jbd2", "crc32c_generic", "ext4"],
].flat();

export interface HostRoot {
  readonly directory: string;
  /** qcow2 to put a copy-on-write layer on. */
  readonly disk: string;
  /** bzImage, for QEMU and for Xen's first domain. */
  readonly kernel: string;
  readonly initramfs: string;
  /** The files /boot/xen-*, when Xen is among the packages. */
  readonly boot: string;
}

export interface RootOptions {
  readonly packages: readonly string[];
  readonly onProgress: (step: string) => void;
}

/** Takes two minutes the first time, a second afterwards. Throws E_IMAGE_BUILD, E_DISK_FULL. Needs root. */
export async function buildRoot(options: RootOptions): Promise<HostRoot> {
  requirePrograms("apt-get", "dpkg-deb", "flock", "lz4", ...diskPrograms, "mmdebstrap", "unshare");
  await mkdir(nestedCache, { recursive: true });
  const onWait = (): void => options.onProgress("waiting for another build to end");
  const release = await takeLock(join(nestedCache, ".lock"), { onWait });
  try {
    return await buildLocked(options);
  } finally {
    await release();
  }
}

async function buildLocked({ packages, onProgress }: RootOptions): Promise<HostRoot> {
  await removeHalfBuilt(nestedCache);
  const apt = new Apt(join(nestedCache, ".apt"));
  await apt.refresh();
  const recipe = await recipeOf(apt, packages);
  const digest = recipeDigest(recipe);
  const directory = join(nestedCache, digest);
  if (!existsSync(directory)) {
    const aside = join(nestedCache, `${halfBuiltPrefix}${digest}`);
    try {
      await fill(apt, recipe, aside, onProgress);
      await rename(aside, directory);
    } finally {
      await rm(aside, { recursive: true, force: true });
    }
  }
  return {
    directory,
    disk: join(directory, diskFile),
    kernel: join(directory, kernelFile),
    initramfs: join(directory, initramfsFile),
    boot: join(directory, "boot"),
  };
}

async function recipeOf(apt: Apt, packages: readonly string[]): Promise<Recipe> {
  const { initramfsFiles } = await readOwnParts(defaultRegisterTool());
  const resolved = await apt.resolve(["?essential", "?priority(required)", "apt", ...packages]);
  const kernel = resolved.find(({ name }) => /^linux-image-\d[\w.+-]*-amd64$/.test(name));
  if (kernel === undefined) throw new Error(`Debian's ${genericKernel} names no kernel`);
  const modules = initramfsModules.map((name) => ({ name, xenOnly: false }));
  return { packages, modules, initramfsFiles, rootFiles: [await init()], resolved, kernel };
}

async function init(): Promise<OwnFile> {
  const source = join(here, "files/vm-init");
  const sha256 = createHash("sha256")
    .update(await readFile(source))
    .digest("hex");
  return { path: "sbin/vm-init", source, mode: 0o755, sha256 };
}

async function fill(
  apt: Apt,
  recipe: Recipe,
  aside: string,
  onProgress: RootOptions["onProgress"],
): Promise<void> {
  const root = join(aside, "root");
  await mkdir(aside);
  onProgress(`installing ${recipe.resolved.length} Debian packages`);
  await makeRoot(apt, recipe, root);
  await mkdir(join(root, "repository"));
  const boot = join(root, "boot");
  await copyFile(join(boot, await kernelIn(boot)), join(aside, kernelFile));
  await writeFile(join(aside, initramfsFile), await initramfs(recipe, root, join(root, "lib/modules")));
  onProgress("making the disk");
  await makeDisk(root, aside);
  await keepXen(boot, join(aside, "boot"));
  await rm(root, { recursive: true });
  await chmod(aside, 0o755);
}

async function kernelIn(boot: string): Promise<string> {
  const name = (await readdir(boot)).find((file) => file.startsWith("vmlinuz-"));
  if (name === undefined) throw new Error(`${genericKernel} brings no kernel`);
  return name;
}

async function keepXen(from: string, to: string): Promise<void> {
  await mkdir(to);
  for (const name of (await readdir(from)).filter((file) => file.startsWith("xen-")))
    await copyFile(join(from, name), join(to, name));
}
