/** Importing: what is taken, what is refused, and that neither a kill nor company leaves anything half made. */
import { execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";
import t from "tap";
import { createImageStore } from "../../../image/index.ts";
import { cacheDirectory, missing } from "../needs.ts";
import { dockerArchive, ociArchive, tarball } from "./archives.ts";

const skip = missing("mmdebstrap", "qemu-img", "genext2fs", "tune2fs", "debugfs");
const directory = mkdtempSync(join(tmpdir(), "vmim-import-"));
chmodSync(directory, 0o711);
const cache = join(directory, "images");
const store = createImageStore({ cacheDirectory: cache, stateDirectory: directory });
t.setTimeout(900_000);
t.teardown(async () => {
  for (const name of await store.listDisks()) await store.removeDisk(name);
  rmSync(directory, { recursive: true });
});

/** The images here and the base that all tests share. */
t.before(async () => {
  if (skip !== false) return;
  const base = await createImageStore({ cacheDirectory, stateDirectory: directory }).build({});
  mkdirSync(cache);
  execFileSync("cp", ["-a", base.directory, cache]);
  symlinkSync(base.digest, join(cache, "current"));
});

const layer = tarball([
  { path: "etc/passwd", contents: "web:x:7:8::/:/bin/sh\n" },
  { path: "bin/run", contents: "#!/bin/sh\n", mode: 0o4755, uid: 7, gid: 8 },
  { path: "private/", type: "Directory", mode: 0o700, uid: 9 },
]);
const config = { User: "web", Cmd: ["/bin/run"] };

function file(name: string, contents: Buffer | string): string {
  writeFileSync(join(directory, name), contents);
  return join(directory, name);
}

/** What is in the store besides images and its own files. */
function halfMade(): string[] {
  const own = new Set([".lock", ".uses", ".apt", "current"]);
  return readdirSync(cache).filter((name) => !own.has(name) && !/^[0-9a-f]{64}$/.test(name));
}

t.test("each format gives the same root", { skip }, async (t) => {
  const archives = {
    "oci-archive": file("oci.tar", ociArchive([layer], [gzipSync(layer)], config)),
    "docker-archive": file("docker.tar", dockerArchive([layer], config)),
    tarball: file("root.tar.gz", gzipSync(layer)),
  };
  for (const [format, path] of Object.entries(archives)) {
    const image = await store.import({ path });
    t.match(image, { kind: "root", format });
    t.equal(image.digest, createHash("sha256").update(readFileSync(path)).digest("hex"));
    t.match(statSync(join(image.directory, "root/bin/run")), { uid: 100_007, gid: 100_008, mode: 0o104755 });
    t.ok(existsSync(join(image.directory, "root/.version-manager/vm-init")));
    t.same(await store.import({ path }), image, "again, it is found");
    const started = readFileSync(join(image.directory, "root/.version-manager/bin/vm-entrypoint"), "utf8");
    t.match(started, format === "tarball" ? "names no program" : "--reuid 7 --regid 8");
  }
  t.same(halfMade(), []);
});

t.test("the disk of a virtual machine has the owners and modes of the root", { skip }, async (t) => {
  const image = await store.import({ path: join(directory, "oci.tar") });
  const raw = join(directory, "look.raw");
  execFileSync("qemu-img", ["convert", "-O", "raw", join(image.directory, "root.qcow2"), raw]);
  const look = (path: string): string =>
    execFileSync("debugfs", ["-R", `stat ${path}`, raw], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    });
  t.match(look("/bin/run"), /Mode: {2}04755[\s\S]*User: {5}7 {3}Group: {5}8/);
  t.match(look("/private"), /Mode: {2}0700[\s\S]*User: {5}9 /);
  t.match(look("/"), /Mode: {2}0755/);
  execFileSync("e2fsck", ["-fn", raw], { stdio: "ignore" });
  rmSync(raw);
});

t.test("a directory, and a disk that boots by itself", { skip }, async (t) => {
  const root = join(directory, "rootfs");
  mkdirSync(join(root, "etc"), { recursive: true });
  writeFileSync(join(root, "etc/hello"), "x");
  t.match(await store.import({ path: root }), { kind: "root", format: "directory" });
  const raw = file(
    "disk.raw",
    Buffer.concat([Buffer.alloc(510), Buffer.from([0x55, 0xaa]), Buffer.alloc(1 << 20)]),
  );
  const image = await store.import({ path: raw, source: "by hand" });
  t.match(image, { kind: "disk", format: "raw", source: "by hand" });
  t.match(statSync(join(image.directory, "disk.qcow2")), { uid: 0, mode: 0o100444 });
  await t.rejects(store.prepareDisk("cloud", "directory", { digest: image.digest }), {
    code: "E_IMAGE_UNFIT",
  });
  const disk = await store.prepareDisk("cloud", "qcow2", { digest: image.digest });
  t.match(disk, { kind: "bootable" });
  const info = execFileSync("qemu-img", ["info", "--output=json", disk.path], { encoding: "utf8" });
  t.match(JSON.parse(info), { "virtual-size": 8 * 1024 ** 3 }, "it can grow into its domain's disk");
  t.match(await store.inspect(image.digest.slice(0, 10)), { uses: [join(directory, "disks/cloud")] });
  await store.removeDisk("cloud");
  t.same((await store.inspect(image.digest)).uses, []);
  await t.rejects(store.prepareDisk("x", "qcow2", { digest: "0".repeat(64) }), { code: "E_NO_IMAGE" });
  await t.rejects(store.inspect("ffffffffff"), { code: "E_NO_IMAGE" });
  t.same(await store.listDisks(), []);
});

t.test("refused: hostile, damaged and unknown files", { skip }, async (t) => {
  const before = readdirSync(cache).toSorted();
  const secret = file("secret", "of the host".repeat(100));
  const backed = join(directory, "backed.qcow2");
  execFileSync("qemu-img", ["create", "-q", "-f", "qcow2", "-F", "raw", "-b", secret, backed]);
  const outside = join(directory, "outside.qcow2");
  const options = `data_file=${join(directory, "data.raw")},data_file_raw=on`;
  execFileSync("qemu-img", ["create", "-q", "-f", "qcow2", "-o", options, outside, "1M"]);
  const other = tarball([{ path: "other", contents: "x" }]);
  const good = dockerArchive([layer], config);
  const twice = dockerArchive([layer, layer]);
  const wrong = {
    "a disk that shows a file of the host": backed,
    "a disk that writes to a file of the host": outside,
    text: file("text", "hello\n".repeat(1_000)),
    "an empty file": file("empty", ""),
    "an archive cut off": file("cut.tar", good.subarray(0, good.length / 2)),
    "a gzip cut off": file("cut.gz", gzipSync(layer).subarray(0, 100)),
    "a layer that is another than its digest": file("other.tar", ociArchive([layer], [gzipSync(other)])),
    "fewer layers than its configuration says": file("fewer.tar", ociArchive([layer, layer], [layer])),
    "an image for another processor": file(
      "arm.tar",
      Buffer.from(twice.toString("latin1").replaceAll('"amd64"', '"arm64"'), "latin1"),
    ),
    nothing: join(directory, "not-there"),
  };
  for (const [what, path] of Object.entries(wrong))
    await t.rejects(store.import({ path }), { code: "E_IMAGE_FORMAT" }, what);
  const digest = "0".repeat(64);
  await t.rejects(store.import({ path: secret, digest }), { code: "E_IMAGE_ALTERED" });
  t.same(readdirSync(cache).toSorted(), before, "nothing of them is left");
});

const module = pathToFileURL(join(import.meta.dirname, "../../../image/index.ts")).href;

/** Starts a program with a store of its own, and kills it after so long. */
async function killed(program: string, afterMs: number): Promise<void> {
  const script = `const { createImageStore } = await import(${JSON.stringify(module)});
    const store = createImageStore(${JSON.stringify({ cacheDirectory: cache, stateDirectory: directory })});
    console.log("go"); ${program}`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await new Promise((resolve) => child.stdout.once("data", resolve));
  await new Promise((resolve) => setTimeout(resolve, afterMs));
  child.kill("SIGKILL");
  await new Promise((resolve) => child.once("close", resolve));
}

t.test("kill -9 in the middle of imports and prunes", { skip }, async (t) => {
  const path = file(
    "many.tar",
    dockerArchive(Array.from({ length: 20 }, (_, at) => tarball([{ path: `f${at}`, contents: "x" }]))),
  );
  const kept = await store.import({ path: join(directory, "oci.tar") });
  await store.prepareDisk("keeper", "qcow2", { digest: kept.digest });
  const program = `for (;;) { await store.import({ path: ${JSON.stringify(path)} }); await store.prune({}); }`;
  for (let round = 0; round < 8; round += 1) {
    await killed(program, 60 + round * 170);
    const image = await store.import({ path });
    t.ok(
      existsSync(join(image.directory, "root/f19")) && existsSync(join(image.directory, "root.qcow2")),
      "whole",
    );
    t.same(halfMade(), [], `round ${round}`);
  }
  t.match(await store.inspect(kept.digest), { digest: kept.digest }, "what a disk uses outlived every prune");
  await store.removeDisk("keeper");
  await store.prune({});
  t.same(
    (await store.list()).map(({ kind }) => kind),
    ["base"],
    "and went with it",
  );
});

t.test("disks are made while others prune and import", { skip }, async (t) => {
  const path = join(directory, "oci.tar");
  const { digest } = await store.import({ path });
  const made = async (name: string): Promise<boolean> => {
    for (let tries = 0; tries < 40; tries += 1) {
      try {
        const disk = await store.prepareDisk(name, "qcow2", { digest });
        return existsSync(disk.path);
      } catch (error) {
        if ((error as { code?: string }).code !== "E_NO_IMAGE") throw error;
        await store.import({ path });
      }
    }
    return false;
  };
  const prunes = Promise.all([1, 2, 3].map(() => store.prune({})));
  const names = ["one", "two", "three", "four"];
  t.same(await Promise.all(names.map(made)), [true, true, true, true]);
  await prunes;
  await store.prune({});
  t.match(await store.inspect(digest), { uses: { length: 4 } });
  for (const name of names) await store.removeDisk(name);
  t.same(halfMade(), []);
});
