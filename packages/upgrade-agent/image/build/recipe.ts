/** What a base image is made of, and the digest that names it: equal recipes make equal images. */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readdir, readFile, stat } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { AgentError } from "../../errors.ts";
import type { ResolvedPackage } from "./apt.ts";

/** One of our own files that goes into the image. */
export interface OwnFile {
  /** Path in the image, without a leading slash. */
  readonly path: string;
  readonly source: string;
  /** Permission bits. */
  readonly mode: number;
  readonly sha256: string;
}

/** A module of the initramfs; `xenOnly` ones are loaded only on Xen. */
export interface KernelModule {
  readonly name: string;
  readonly xenOnly: boolean;
}

/** Our own part of the recipe, as it lies in `image/base`. */
export interface OwnParts {
  readonly packages: readonly string[];
  readonly modules: readonly KernelModule[];
  readonly rootFiles: readonly OwnFile[];
  readonly initramfsFiles: readonly OwnFile[];
}

export interface Recipe extends OwnParts {
  readonly resolved: readonly ResolvedPackage[];
  readonly kernel: ResolvedPackage;
}

/** Grows when the builder makes something else of the same parts. */
const recipeFormat = 4;

/** Hex SHA-256 over everything that the image depends on. */
export function recipeDigest(recipe: Recipe): string {
  const files = (list: readonly OwnFile[]) => list.map(({ path, mode, sha256 }) => [path, mode, sha256]);
  const versions = (list: readonly ResolvedPackage[]) =>
    list.map(({ name, version }) => `${name}=${version}`);
  const facts = {
    format: recipeFormat,
    resolved: versions(recipe.resolved),
    kernel: versions([recipe.kernel]),
    modules: recipe.modules.map(({ name, xenOnly }) => [name, xenOnly]),
    rootFiles: files(recipe.rootFiles),
    initramfsFiles: files(recipe.initramfsFiles),
  };
  return createHash("sha256").update(JSON.stringify(facts)).digest("hex");
}

/** Lines of a list file without comments and blanks. */
export function parseList(text: string): string[] {
  return text
    .split("\n")
    .map((line) => line.replace(/#.*/, "").trim())
    .filter((line) => line !== "");
}

export function parseModules(text: string): KernelModule[] {
  return parseList(text).map((line) => ({
    name: line.replace(/^xen:\s*/, ""),
    xenOnly: line.startsWith("xen:"),
  }));
}

/** `registerTool` is the file that becomes /usr/bin/vm-register. Throws E_IMAGE_BUILD when it is missing. */
export async function readOwnParts(registerTool: string): Promise<OwnParts> {
  const base = join(packageDirectory(import.meta.url), "image/base");
  if (!existsSync(registerTool)) {
    throw new AgentError(
      "E_IMAGE_BUILD",
      `The register tool ${registerTool} is missing; install Version Manager again.`,
    );
  }
  return {
    packages: parseList(await readFile(join(base, "packages"), "utf8")),
    modules: parseModules(await readFile(join(base, "kernel-modules"), "utf8")),
    rootFiles: [
      ...(await readTree(join(base, "files"))),
      await readOwnFile(registerTool, "usr/bin/vm-register", 0o755),
    ],
    initramfsFiles: await readTree(join(base, "initramfs")),
  };
}

/** Where the router's package keeps the tool that domains register their ports with. */
export function defaultRegisterTool(): string {
  const router = import.meta.resolve("@version-manager/version-router");
  return join(packageDirectory(router), "register/vm-register");
}

/** The nearest directory above a module that holds a package.json: the same for sources and for `dist`. */
function packageDirectory(moduleUrl: string): string {
  let directory = dirname(fileURLToPath(moduleUrl));
  while (!existsSync(join(directory, "package.json"))) directory = dirname(directory);
  return directory;
}

async function readTree(root: string): Promise<OwnFile[]> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return Promise.all(files.toSorted().map((file) => readOwnFile(file, relative(root, file))));
}

/** Git keeps no other permission than "executable", so no other goes in. */
async function readOwnFile(source: string, path: string, mode?: number): Promise<OwnFile> {
  const executable = ((await stat(source)).mode & 0o100) !== 0;
  const sha256 = createHash("sha256")
    .update(await readFile(source))
    .digest("hex");
  return { path, source, mode: mode ?? (executable ? 0o755 : 0o644), sha256 };
}
