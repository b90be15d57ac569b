/** The root directory of a base: Debian packages, nothing else, and our own files on top. */
import { chmod, copyFile, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Apt } from "./apt.ts";
import { run } from "./command.ts";
import { debianSuite } from "./debian-sources.ts";
import { sourceDateEpoch } from "./disk.ts";
import type { Recipe } from "./recipe.ts";

/** Of no use to a machine that nobody logs in to. Copyright files stay. */
const excluded = [
  "/usr/share/doc/*",
  "/usr/share/info/*",
  "/usr/share/lintian/*",
  "/usr/share/locale/*",
  "/usr/share/man/*",
];

/** Fills `root`, which must not exist. Takes 15 to 40 s on a machine with two cores, most of it unpacking. */
export async function makeRoot(apt: Apt, recipe: Recipe, root: string, signal?: AbortSignal): Promise<void> {
  await run("mmdebstrap", mmdebstrapArguments(apt, recipe.packages, root), {
    contained: true,
    signal,
    env: { SOURCE_DATE_EPOCH: String(sourceDateEpoch) },
  });
  await emptyDirectory(join(root, "dev"));
  await useSmallShell(join(root, "etc/passwd"));
  await writeFile(join(root, "etc/resolv.conf"), "");
  await mkdir(join(root, "opt/app"), { recursive: true });
  for (const { path, source, mode } of recipe.rootFiles) {
    const target = join(root, path);
    await mkdir(dirname(target), { recursive: true });
    await copyFile(source, target);
    await chmod(target, mode);
  }
}

/** The index that the digest was computed from is copied in, so that exactly those versions are installed. */
function mmdebstrapArguments(apt: Apt, packages: readonly string[], root: string): string[] {
  return [
    "--mode=root",
    "--variant=minbase",
    "--architectures=amd64",
    "--format=directory",
    "--quiet",
    "--dpkgopt=force-unsafe-io",
    ...excluded.map((path) => `--dpkgopt=path-exclude=${path}`),
    "--dpkgopt=path-include=/usr/share/doc/*/copyright",
    '--aptopt=Acquire::Languages "none"',
    '--aptopt=APT::Install-Recommends "false"',
    "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
    "--skip=update",
    `--setup-hook=copy-in ${apt.listsDirectory} /var/lib/apt`,
    `--include=${packages.join(",")}`,
    debianSuite,
    root,
    apt.sourcesFile,
  ];
}

async function emptyDirectory(directory: string): Promise<void> {
  for (const name of await readdir(directory)) await rm(join(directory, name), { recursive: true });
}

/** Root's shell runs every command that comes over SSH; dash starts several times faster than bash. */
async function useSmallShell(passwd: string): Promise<void> {
  const text = await readFile(passwd, "utf8");
  await writeFile(passwd, text.replace(/^(root:.*:)\/bin\/bash$/m, "$1/bin/sh"));
}
