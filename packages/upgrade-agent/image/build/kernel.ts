/** Kernel and initramfs for booting a virtual machine directly, out of Debian's kernel package. */
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { AgentError } from "../../errors.ts";
import type { Apt } from "./apt.ts";
import { run } from "./command.ts";
import { cpio, type CpioEntry } from "./cpio.ts";
import type { Recipe } from "./recipe.ts";
import { lz4Payload } from "./vmlinuz.ts";

/** Files of a finished base. */
export const kernelFile = "vmlinux";
export const initramfsFile = "initramfs.cpio";

/** Writes both into `output`. `root` is the finished root, which busybox is taken from. */
export async function makeKernel(
  apt: Apt,
  recipe: Recipe,
  root: string,
  output: string,
  signal?: AbortSignal,
): Promise<void> {
  const scratch = join(output, "kernel-package");
  await mkdir(scratch);
  const deb = await apt.download(recipe.kernel, scratch);
  await run("dpkg-deb", ["--extract", deb, join(scratch, "x")], { signal });
  const boot = join(scratch, "x/boot");
  const image = (await readdir(boot)).find((name) => name.startsWith("vmlinuz-"));
  if (image === undefined) throw new AgentError("E_IMAGE_BUILD", `${recipe.kernel.name} brings no kernel.`);
  const packed = join(scratch, "payload.lz4");
  await writeFile(packed, lz4Payload(await readFile(join(boot, image))));
  await run("lz4", ["-q", "-d", "-f", packed, join(output, kernelFile)], { signal });
  await writeFile(join(output, initramfsFile), await initramfs(recipe, root, join(scratch, "x/lib/modules")));
  await rm(scratch, { recursive: true });
}

/** What mounts the disk: a busybox of `root`, the recipe's modules out of that directory, and our init. */
export async function initramfs(recipe: Recipe, root: string, modulesDirectory: string): Promise<Buffer> {
  // Directories of drivers may bear a driver's name.
  const files = (await readdir(modulesDirectory, { recursive: true })).filter((path) => path.endsWith(".ko"));
  const paths = new Map(files.map((path) => [basename(path, ".ko"), join(modulesDirectory, path)]));
  const modules = await Promise.all(
    recipe.modules.map(async ({ name }): Promise<CpioEntry> => {
      const path = paths.get(name);
      if (path === undefined)
        throw new AgentError("E_IMAGE_BUILD", `${recipe.kernel.name} has no module ${name}.`);
      return { kind: "file", path: `modules/${name}.ko`, mode: 0o644, contents: await readFile(path) };
    }),
  );
  const own = await Promise.all(
    recipe.initramfsFiles.map(async ({ path, source, mode }): Promise<CpioEntry> => {
      return { kind: "file", path, mode, contents: await readFile(source) };
    }),
  );
  const directories = ["bin", "dev", "modules", "proc", "root", "sys"];
  return cpio([
    ...directories.map((path): CpioEntry => ({ kind: "directory", path, mode: 0o755 })),
    { kind: "character", path: "dev/console", mode: 0o600, major: 5, minor: 1 },
    { kind: "file", path: "bin/busybox", mode: 0o755, contents: await readFile(join(root, "bin/busybox")) },
    ...modules,
    order("modules/order", recipe, false),
    order("modules/order.xen", recipe, true),
    ...own,
  ]);
}

function order(path: string, recipe: Recipe, xenOnly: boolean): CpioEntry {
  const names = recipe.modules.filter((module) => module.xenOnly === xenOnly).map(({ name }) => `${name}\n`);
  return { kind: "file", path, mode: 0o644, contents: Buffer.from(names.join("")) };
}
