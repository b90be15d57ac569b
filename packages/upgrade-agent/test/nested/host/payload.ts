/** The second disk of an emulated machine: the repository as it is now, and whatever else a test hands in. */
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { run } from "../../../image/build/command.ts";
import type { BaseImage } from "../../../image/contract.ts";

export interface Tree {
  /** Directory outside. */
  readonly from: string;
  /** Directory below /repository inside. */
  readonly to: string;
  /** What stays outside, as tar's --exclude says it: paths that begin with "./". */
  readonly exclude?: readonly string[];
}

const repository = fileURLToPath(new URL("../../../../../", import.meta.url));

/** Programs for developing, 200 MB, that no test loads. */
const unused = [
  ["@oxc-parser", "@oxc-resolver", "@oxlint", "@oxlint-tsgolint", "@types", "@typescript", "es-toolkit"],
  ["knip", "oxc-parser", "oxlint", "oxlint-tsgolint", "prettier", "tshy", "typescript", ".cache"],
]
  .flat()
  .map((name) => `./node_modules/${name}`);

/** Sources, dist, node_modules. A hidden directory is of a tool, or git's. */
export function repositoryTree(): Tree {
  return { from: repository, to: ".", exclude: ["./.git", "./.tap", "./bench", "./docs", ...unused] };
}

/** A base image where the product looks for it, with Debian's index, so that no network is asked for anything. */
export function imageTrees(base: BaseImage): Tree[] {
  const images = join(base.directory, "..");
  const to = ".cache/images";
  return [
    { from: base.directory, to: `${to}/${base.digest}` },
    { from: join(images, ".apt"), to: `${to}/.apt`, exclude: ["./cache/archives"] },
    { from: "/etc/apt", to: ".etc-apt" },
  ];
}

/** Writes an ext4 file system with the trees to `disk`, through a directory beside it. Five seconds. */
export async function makePayload(trees: readonly Tree[], disk: string): Promise<void> {
  const stage = `${disk}.stage`;
  for (const { from, to, exclude = [] } of trees) {
    const target = join(stage, to);
    await mkdir(target, { recursive: true });
    const excludes = exclude.map((path) => `--exclude=${path}`);
    const copy = 'from=$1 to=$2; shift 2; tar -C "$from" "$@" -cf - . | tar -C "$to" -xpf -';
    await run("bash", ["-o", "pipefail", "-ec", copy, "copy", from, target, ...excludes]);
  }
  await run("mke2fs", ["-q", "-F", "-t", "ext4", "-m", "0", "-d", stage, disk, "6G"]);
  await rm(stage, { recursive: true });
}
