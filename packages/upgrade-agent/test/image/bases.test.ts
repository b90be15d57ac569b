/** Finished bases are found; half-built ones are not. */
import { rmSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { basePaths, currentBase, findBase, makeCurrent } from "../../image/bases.ts";
import { createImageStore } from "../../image/index.ts";

const digest = "ab".repeat(32);
const other = "cd".repeat(32);
const info = JSON.stringify({ bytes: 5, builtAtMs: 7, packages: [] });

t.test("the current one is what the last build ended with", async (t) => {
  const directory = t.testdir({ [digest]: { "image.json": info }, [other]: { "image.json": info } });
  t.equal(await currentBase(directory), undefined);
  await makeCurrent(directory, digest);
  await makeCurrent(directory, other);
  await makeCurrent(directory, digest);
  const base = { digest, directory: join(directory, digest), bytes: 5, builtAtMs: 7 };
  t.same(await currentBase(directory), base);
  t.same(await findBase(directory, digest), base);
  rmSync(join(directory, digest), { recursive: true });
  t.equal(await currentBase(directory), undefined, "removed by hand");
});

t.test("a directory without its last file is none", async (t) => {
  t.equal(await findBase(t.testdir({ [digest]: {} }), digest), undefined);
});

t.test("paths of a base", async (t) => {
  t.same(basePaths({ directory: "/b" }), {
    disk: "/b/root.qcow2",
    kernel: "/b/vmlinux",
    initramfs: "/b/initramfs.cpio",
    root: "/b/root",
    tools: "/b/tools",
  });
});

t.test("without a base no disk is made, and it is said how to make one", async (t) => {
  const directory = t.testdir({});
  const store = createImageStore({
    cacheDirectory: join(directory, "images"),
    stateDirectory: join(directory, "state"),
  });
  t.equal(await store.base(), undefined);
  t.same(await store.listDisks(), []);
  await t.rejects(store.prepareDisk("d", "qcow2"), {
    code: "E_NO_BASE_IMAGE",
    message: /vm-upgrade image build/,
  });
  for (const name of ["", ".", "..", "a/b", "-a", "A", "x".repeat(64), "a\n"]) {
    await t.rejects(store.prepareDisk(name, "qcow2"), { code: "E_BAD_REQUEST" }, JSON.stringify(name));
    await t.rejects(store.removeDisk(name), { code: "E_BAD_REQUEST" }, JSON.stringify(name));
  }
});
