/** Another release of the router to upgrade to: a copy of this one whose eBPF programs have other instructions. */
import { execFileSync } from "node:child_process";
import { cpSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";

const PACKAGE = join(import.meta.dirname, "../../..");
const BPF = "datapath/kernel/bpf";
/** Not part of what runs from source. */
const LEFT_OUT = ["dist", "node_modules", "test"];
const ENTRY = /SEC\("tc"\)\nint \w+\(struct __sk_buff \*skb\)\n\{\n/g;
/** Has no effect but on the kernel's hash of the program. */
const BUILD_TAG = '\tasm volatile("r0 = 2" ::: "r0");\n';

/** Compiles it under `directory`, which must not exist; the path of its `vm-router`. */
export function makeRelease(directory: string): string {
  cpSync(PACKAGE, directory, {
    recursive: true,
    filter: (path) => dirname(path) !== PACKAGE || !LEFT_OUT.includes(basename(path)),
  });
  symlinkSync(modulesDirectory(), join(directory, "node_modules"));
  const sources = join(directory, BPF);
  let entries = 0;
  for (const name of readdirSync(sources).filter((each) => each.endsWith(".h"))) {
    const text = readFileSync(join(sources, name), "utf8");
    entries += text.match(ENTRY)?.length ?? 0;
    writeFileSync(
      join(sources, name),
      text.replace(ENTRY, (entry) => entry + BUILD_TAG),
    );
  }
  if (entries === 0) throw new Error(`no program found in ${BPF}`);
  rmSync(join(sources, "router.bpf.o"), { force: true });
  execFileSync("sh", [join(sources, "build.sh")], { stdio: ["ignore", "ignore", "inherit"] });
  return join(directory, "daemon/main.ts");
}

/** Where the dependencies of this release are. */
function modulesDirectory(): string {
  let path = createRequire(import.meta.url).resolve("koffi");
  while (basename(path) !== "node_modules") path = dirname(path);
  return path;
}
