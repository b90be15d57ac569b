/** Building a base and making disks on it: copy-on-write, private, and whole or not there at all. */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import t from "tap";
import { createImageStore } from "../../image/index.ts";
import { cacheDirectory, missing, storeIn } from "./needs.ts";

const skip = missing("mmdebstrap", "qemu-img", "qemu-io", "genext2fs", "lz4");
const directory = mkdtempSync(join(tmpdir(), "vmim-"));
chmodSync(directory, 0o711);
const store = storeIn(directory);
const disks = join(directory, "disks");
t.setTimeout(900_000);
t.teardown(async () => {
  for (const name of await store.listDisks()) await store.removeDisk(name);
  rmSync(directory, { recursive: true });
});

function sha256(file: string): string {
  return createHash("sha256").update(readFileSync(file)).digest("hex");
}

/** Whether the first MiB of a disk is all 0xab. */
function holdsMark(disk: string): boolean {
  return spawnSync("qemu-io", ["-f", "qcow2", "-c", "read -P 0xab 0 1M", disk]).status === 0;
}

/** Writes until nothing more fits. */
function fill(file: string): void {
  for (const bytes of [2 ** 20, 4096]) {
    for (let full = false; !full;) {
      try {
        appendFileSync(file, Buffer.alloc(bytes));
      } catch {
        full = true;
      }
    }
  }
}

/** Ends a build by kill -9 while packages are unpacked. */
async function killBuild(cache: string): Promise<void> {
  const module = pathToFileURL(join(import.meta.dirname, "../../image/index.ts")).href;
  const program = `const { createImageStore } = await import(${JSON.stringify(module)});
    const store = createImageStore(${JSON.stringify({ cacheDirectory: cache, stateDirectory: cache })});
    await store.build({ onProgress: (step) => console.log(step) });`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", program], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await new Promise<void>((resolve) => {
    child.stdout.on("data", (step: Buffer) => {
      if (step.includes("installing")) setTimeout(resolve, 4_000);
    });
  });
  child.kill("SIGKILL");
  await new Promise((resolve) => child.once("close", resolve));
  await new Promise((resolve) => setTimeout(resolve, 500));
}

t.test("build", { skip }, async (t) => {
  mkdirSync(join(cacheDirectory, ".build-died"), { recursive: true });
  const steps: string[] = [];
  const startedAt = performance.now();
  const [base, same] = await Promise.all([
    store.build({ onProgress: (step) => steps.push(step) }),
    storeIn(directory).build({}),
  ]);
  t.comment(`${((performance.now() - startedAt) / 1000).toFixed(1)} s: ${steps.join("; ")}`);
  t.match(base.digest, /^[0-9a-f]{64}$/);
  t.same(same, base, "two builds at once make one base");
  t.same(await store.base(), base);
  t.notOk(existsSync(join(cacheDirectory, ".build-died")), "what a dead build left is gone");
  t.same(readdirSync(base.directory).toSorted(), [
    "image.json",
    "initramfs.cpio",
    "root",
    "root.qcow2",
    "tools",
    "vmlinux",
  ]);
  t.match(statSync(join(base.directory, "root")), { uid: 100_000, gid: 100_000 });
  t.equal(
    statSync(join(base.directory, "root/usr/bin/su")).mode & 0o7777,
    0o4755,
    "set-user-ID survives the shift",
  );
  t.comment(`${Math.round(base.bytes / 1024 ** 2)} MiB on disk`);
});

t.test("a build that is aborted, or finds no room, leaves nothing half made", { skip }, async (t) => {
  const cache = join(directory, "cache");
  mkdirSync(cache);
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=1200m", "tmpfs", cache]);
  t.teardown(() => execFileSync("umount", [cache]));
  const small = createImageStore({ cacheDirectory: cache, stateDirectory: directory });
  const filler = join(cache, "filler");
  const nothing = [".apt", ".lock"];

  await killBuild(cache);
  t.equal(spawnSync("pgrep", ["-f", cache]).status, 1, "nothing goes on after kill -9");
  t.ok(readdirSync(cache).some((name) => name.startsWith(".build-")));

  const aborter = new AbortController();
  const abortSoon = (step: string): void => {
    if (step.startsWith("installing")) setTimeout(() => aborter.abort(), 1_000);
  };
  await t.rejects(small.build({ signal: aborter.signal, onProgress: abortSoon }), { name: "AbortError" });
  t.same(readdirSync(cache).toSorted(), nothing);

  const fillAtDisk = (step: string): void => {
    if (step.startsWith("making the disk")) fill(filler);
  };
  await t.rejects(small.build({ onProgress: fillAtDisk }), { code: "E_DISK_FULL" }, "hit while writing");
  t.same(readdirSync(cache).toSorted(), [...nothing, "filler"]);
  await t.rejects(small.build({}), { code: "E_DISK_FULL" }, "seen before");
  t.same(readdirSync(cache).toSorted(), [...nothing, "filler"]);
  t.equal(await small.base(), undefined);
});

t.test("qcow2: overlays do not see each other, and the base stays", { skip }, async (t) => {
  const base = await store.base();
  const file = join(String(base?.directory), "root.qcow2");
  const before = sha256(file);
  const startedAt = performance.now();
  const a = await store.prepareDisk("a", "qcow2");
  t.comment(`prepared in ${(performance.now() - startedAt).toFixed(0)} ms`);
  const b = await store.prepareDisk("b", "qcow2");
  execFileSync("qemu-io", ["-f", "qcow2", "-c", "write -P 0xab 0 1M", a.path], { stdio: "ignore" });
  t.ok(holdsMark(a.path));
  t.notOk(holdsMark(b.path));
  t.same(await store.prepareDisk("a", "qcow2"), a, "found again");
  t.ok(holdsMark(a.path), "with what was written");
  t.equal(sha256(file), before);
  t.equal(statSync(a.path).mode & 0o777, 0o600);
  t.same(await store.listDisks(), ["a", "b"]);
  await store.removeDisk("a");
  await store.removeDisk("a");
  await store.removeDisk("never-was");
  t.same(await store.listDisks(), ["b"]);
});

t.test("directory: overlays do not see each other, and the base stays", { skip }, async (t) => {
  const base = await store.base();
  const startedAt = performance.now();
  const one = await store.prepareDisk("one", "directory");
  t.comment(`prepared in ${(performance.now() - startedAt).toFixed(0)} ms`);
  const two = await store.prepareDisk("two", "directory");
  writeFileSync(join(one.path, "etc/only-one"), "1");
  rmSync(join(one.path, "etc/passwd"));
  t.notOk(existsSync(join(two.path, "etc/only-one")));
  t.ok(existsSync(join(two.path, "etc/passwd")));
  t.notOk(existsSync(join(String(base?.directory), "root/etc/only-one")));
  t.match(statSync(one.path), { uid: 100_000, gid: 100_000 });
  execFileSync("umount", [one.path]);
  t.same(
    await store.prepareDisk("one", "directory"),
    one,
    "mounted again, as after a restart of the machine",
  );
  t.ok(existsSync(join(one.path, "etc/only-one")));
  const user = spawn("sleep", ["60"], { cwd: two.path });
  await store.removeDisk("two");
  t.notOk(existsSync(join(disks, "two")), "also while somebody is in it");
  user.kill();
  await store.removeDisk("one");
});

t.test("of another kind, it is made anew", { skip }, async (t) => {
  const file = await store.prepareDisk("kind", "qcow2");
  const mounted = await store.prepareDisk("kind", "directory");
  t.notOk(existsSync(file.path));
  t.ok(existsSync(join(mounted.path, "sbin/vm-init")));
  await store.removeDisk("kind");
});

t.test("calls about one disk at the same time", { skip }, async (t) => {
  const made = await Promise.all([1, 2, 3].map(() => store.prepareDisk("same", "directory")));
  t.same(new Set(made.map(({ path }) => path)).size, 1);
  await Promise.all([
    store.removeDisk("same"),
    store.prepareDisk("same", "directory"),
    store.removeDisk("same"),
  ]);
  t.notOk(existsSync(join(disks, "same")));
});

t.test("kill -9 in the middle heals", { skip }, async (t) => {
  const module = pathToFileURL(join(import.meta.dirname, "../../image/index.ts")).href;
  const program = `const { createImageStore } = await import(${JSON.stringify(module)});
    const store = createImageStore(${JSON.stringify({ cacheDirectory, stateDirectory: directory })});
    console.log("go");
    for (;;) for (const kind of ["directory", "qcow2"]) { await store.prepareDisk("killed", kind); await store.removeDisk("killed"); }`;
  for (const [round, kind] of (
    ["directory", "qcow2", "directory", "qcow2", "directory"] as const
  ).entries()) {
    const child = spawn(process.execPath, ["--input-type=module", "-e", program], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    await new Promise((resolve) => child.stdout.once("data", resolve));
    await new Promise((resolve) => setTimeout(resolve, 40 + round * 23));
    child.kill("SIGKILL");
    await new Promise((resolve) => child.once("close", resolve));
    const disk = await store.prepareDisk("killed", kind);
    t.ok(existsSync(kind === "qcow2" ? disk.path : join(disk.path, "sbin/vm-init")));
  }
  await store.removeDisk("killed");
  t.notOk(existsSync(join(disks, "killed")));
});

t.test("a full disk: a clear code, and nothing left", { skip }, async (t) => {
  const state = join(directory, "full");
  mkdirSync(state);
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", state]);
  t.teardown(() => execFileSync("umount", [state]));
  mkdirSync(join(state, "disks"));
  for (const kind of ["qcow2", "directory"] as const) {
    writeFileSync(join(state, "filler"), "");
    await t.rejects(storeIn(state).prepareDisk("d", kind), { code: "E_DISK_FULL" }, `${kind}, seen before`);
    fill(join(state, "filler"));
    await t.rejects(
      storeIn(state, 0).prepareDisk("d", kind),
      { code: "E_DISK_FULL" },
      `${kind}, hit while writing`,
    );
    t.same(readdirSync(join(state, "disks")), []);
  }
});

t.test("a state directory that domains could not reach into is told", { skip }, async (t) => {
  const state = join(directory, "closed");
  mkdirSync(state, { mode: 0o700 });
  await t.rejects(storeIn(state).prepareDisk("d", "directory"), {
    code: "E_CONFIG",
    message: /chmod o\+x .*closed$/,
  });
  t.same(readdirSync(join(state, "disks")), []);
});

t.test("nothing is left mounted", { skip }, async (t) => {
  for (const name of await store.listDisks()) await store.removeDisk(name);
  t.notOk(readFileSync("/proc/self/mountinfo", "utf8").includes(directory));
});
