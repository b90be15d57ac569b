/** Two builds of the base from the same packages, each from nothing: every byte is the same. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import t from "tap";
import { archiveTree } from "../../image/build/disk.ts";
import { createImageStore } from "../../image/index.ts";
import { missing } from "./needs.ts";

const skip = missing("mmdebstrap", "genext2fs", "qemu-img");

async function digest(file: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(file), hash);
  return hash.digest("hex");
}

t.test("two builds", { skip, timeout: 1_800_000 }, async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "vmim-twice-"));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const builds: Record<string, string>[] = [];
  for (const name of ["first", "second"]) {
    const cacheDirectory = join(directory, name);
    const base = await createImageStore({ cacheDirectory, stateDirectory: directory }).build({});
    const tree = join(directory, `${name}.tar`);
    await archiveTree(join(base.directory, "root"), tree);
    const digests: Record<string, string> = { recipe: base.digest, root: await digest(tree) };
    for (const file of ["root.qcow2", "vmlinux", "initramfs.cpio"])
      digests[file] = await digest(join(base.directory, file));
    builds.push(digests);
  }
  t.comment(JSON.stringify(builds[0], undefined, 1));
  if (!t.same(builds[1], builds[0])) {
    const roots = ["first", "second"].map((name) => join(directory, name, "current/root"));
    const { stdout } = (() => {
      try {
        return { stdout: execFileSync("diff", ["-rq", "--no-dereference", ...roots], { encoding: "utf8" }) };
      } catch (error) {
        return error as { stdout: string };
      }
    })();
    t.comment(stdout);
  }
});
