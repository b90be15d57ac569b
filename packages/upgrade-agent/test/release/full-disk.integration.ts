/** A disk that is really full: a tmpfs of one MiB. Needs root to mount it. */
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdir, readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { createReleaseStore, packRelease, tarballName } from "../../release/index.ts";
import { createSwarm, makeTorrent } from "../../swarm/index.ts";
import { makeFleet, makeRelease, temporaryDirectory } from "./fixture.ts";

const MIB = 1024 * 1024;
const skip = process.getuid?.() === 0 ? false : "mounting a small file system needs root";

type Test = Parameters<typeof makeFleet>[0];

async function smallDisk(t: Test, bytes: number): Promise<string> {
  const disk = join(await temporaryDirectory(t), "disk");
  await mkdir(disk);
  execFileSync("mount", ["-t", "tmpfs", "-o", `size=${bytes}`, "vm-release-test", disk]);
  t.teardown(() => execFileSync("umount", [disk]));
  return disk;
}

t.test("packing onto a full disk leaves nothing", { skip }, async (t) => {
  const fleet = await makeFleet(t);
  const { tarball } = await makeRelease(fleet, { files: { blob: randomBytes(2 * MIB) } });
  t.ok((await stat(tarball)).size > MIB);
  const outputDirectory = await smallDisk(t, MIB);
  const request = { directory: join(fleet.directory, "app"), outputDirectory, keyFile: fleet.keyFile };
  await t.rejects(packRelease(request), { code: "E_DISK_FULL" });
  t.same(await readdir(outputDirectory), []);
});

t.test("importing onto a full disk leaves nothing", { skip }, async (t) => {
  const packed = await makeRelease(await makeFleet(t), { files: { blob: randomBytes(2 * MIB) } });
  const disk = await smallDisk(t, MIB);
  const store = createReleaseStore({ directory: join(disk, "releases") });
  const swarm = { createTorrent: makeTorrent };
  await t.rejects(store.importTarball(packed.envelope, packed.tarball, swarm), { code: "E_DISK_FULL" });
  t.same(await store.list(), []);
  t.same(await readdir(join(disk, "releases"), { recursive: true }), ["kv"]);
});

t.test(
  "unpacking the proxy onto a full disk leaves the release, and works when there is room",
  { skip },
  async (t) => {
    const packed = await makeRelease(await makeFleet(t), {
      manifest: { proxy: { module: "proxy/index.js" } },
      files: { "proxy/index.js": "1", "proxy/zeros": Buffer.alloc(2 * MIB) },
    });
    const disk = await smallDisk(t, MIB);
    const store = createReleaseStore({ directory: join(disk, "releases") });
    await store.importTarball(packed.envelope, packed.tarball, { createTorrent: makeTorrent });
    await t.rejects(store.extractProxy("kv", 2), { code: "E_DISK_FULL" });
    t.same((await readdir(join(disk, "releases/kv/2"))).toSorted(), [
      "release.json",
      "release.tar.gz",
      "release.torrent",
    ]);
    execFileSync("mount", ["-o", `remount,size=${8 * MIB}`, disk]);
    t.equal(await readFile(await store.extractProxy("kv", 2), "utf8"), "1");
  },
);

t.test(
  "a download that fills the disk keeps its part, and goes on when there is room",
  { skip },
  async (t) => {
    const packed = await makeRelease(await makeFleet(t), { files: { blob: randomBytes(3 * MIB) } });
    const { torrent, infohash } = await makeTorrent(packed.tarball, tarballName(packed.manifest));
    const disk = await smallDisk(t, 2 * MIB);
    const store = createReleaseStore({ directory: join(disk, "releases") });
    await store.putMetadata(packed.envelope, torrent);
    const { partFile } = await store.metadata("kv", 2);
    const hosts = ["127.0.1.1", "127.0.1.2"];
    const [a, b] = await Promise.all(
      hosts.map((host) => createSwarm({ host, port: 0, allowedPeers: hosts })),
    );
    if (a === undefined || b === undefined) throw new Error("two swarms");
    t.teardown(() => Promise.all([a.close(), b.close()]));
    await a.seed(torrent, packed.tarball);
    const request = { torrent, infohash, file: partFile, peers: [`127.0.1.1:${a.port}`] };
    await t.rejects(b.download(request), { code: "E_DISK_FULL" });
    t.same(b.list(), []);
    execFileSync("mount", ["-o", `remount,size=${8 * MIB}`, disk]);
    await b.download(request);
    await store.complete("kv", 2);
    t.same(await store.list(), [{ service: "kv", version: 2, complete: true }]);
  },
);
