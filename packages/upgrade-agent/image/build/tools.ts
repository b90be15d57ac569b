/**
 * What a root that is not our base needs to become a domain, gathered in one directory that is put into it as
 * `/.version-manager`: a static busybox, the SSH server and its libraries, our init. Nothing of the root's own is used,
 * for nothing is known about it.
 */
import { chmod, copyFile, mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { run } from "./command.ts";
import type { Recipe } from "./recipe.ts";

/** Where the tools are in a foreign root. A layer that brings something of this name is refused. */
export const toolsPath = ".version-manager";
/** In the directory of a base. */
export const toolsDirectory = "tools";

const libraries = "usr/lib/x86_64-linux-gnu";
const loader = `${libraries}/ld-linux-x86-64.so.2`;
/** Programs of the base that are linked dynamically. */
const programs = ["usr/sbin/dropbear", "usr/bin/dropbearkey", "usr/sbin/ethtool", "usr/bin/setpriv"];
const own = ["sbin/vm-init", "usr/bin/vm-register"];

/** Fills `output` from the finished root of the base. Throws E_IMAGE_BUILD. */
export async function makeTools(
  root: string,
  output: string,
  recipe: Recipe,
  signal?: AbortSignal,
): Promise<void> {
  for (const part of ["", "bin", "lib", "libexec"])
    await mkdir(join(output, part), { recursive: true, mode: 0o755 });
  await copyFile(join(root, "bin/busybox"), join(output, "bin/busybox"));
  await copyFile(join(root, loader), join(output, "lib/ld.so"));
  for (const library of await neededLibraries(root, signal))
    await copyFile(library, join(output, "lib", basename(library)));
  for (const program of programs) {
    await copyFile(join(root, program), join(output, "libexec", basename(program)));
    await writeScript(join(output, "bin", basename(program)), wrapper(basename(program)));
  }
  for (const path of own) {
    const source = recipe.rootFiles.find((file) => file.path === path)?.source ?? join(root, path);
    const script = await readFile(source, "utf8");
    const place = path === "sbin/vm-init" ? "vm-init" : `bin/${basename(path)}`;
    await writeScript(join(output, place), script.replace(/^#!.*\n/, ""));
  }
  await writeScript(join(output, "bin/vm-shell"), shell);
  await linkApplets(output, signal);
}

const interpreter = `#!/${toolsPath}/bin/busybox sh\n`;

const shell = `# Root's shell: commands find the image's environment, and our programs behind its own.
. /${toolsPath}/environment
exec /${toolsPath}/bin/busybox sh "$@"
`;

/**
 * Started through our own loader, which hands nothing of itself to children; an LD_LIBRARY_PATH would. The name keeps
 * dropbear from starting itself again by its path, without the loader.
 */
function wrapper(name: string): string {
  const place = `/${toolsPath}`;
  return `exec ${place}/lib/ld.so --library-path ${place}/lib --argv0 ${name} ${place}/libexec/${name} "$@"\n`;
}

async function writeScript(file: string, text: string): Promise<void> {
  await writeFile(file, interpreter + text);
  await chmod(file, 0o755);
}

async function neededLibraries(root: string, signal?: AbortSignal): Promise<Set<string>> {
  const found = new Set<string>();
  for (const program of programs) {
    const listing = await run(
      join(root, loader),
      ["--library-path", join(root, libraries), "--list", join(root, program)],
      { signal },
    );
    for (const [, path = ""] of listing.matchAll(/ => (\/\S+) \(/g))
      if (!path.includes("/ld-linux")) found.add(path);
  }
  return found;
}

/** So that any shell finds `tar`, `timeout` and so on; what we bring ourselves keeps its name. */
async function linkApplets(output: string, signal?: AbortSignal): Promise<void> {
  const names = (await run(join(output, "bin/busybox"), ["--list"], { signal })).split("\n");
  for (const name of names) {
    if (!/^[\w.[-]+$/.test(name) || name === "busybox") continue;
    await symlink("busybox", join(output, "bin", name)).catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    });
  }
}
