import { copyFile, mkdir, readdir, readFile, stat, symlink, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { createReleaseStore, tarballName } from "../../release/index.ts";
import { makeTorrent } from "../../swarm/index.ts";
import { signStatement } from "../../trust/index.ts";
import { makeFleet, makeRelease, temporaryDirectory, writeTree, type ReleaseOptions } from "./fixture.ts";

const swarm = { createTorrent: makeTorrent };

async function setUp(t: Parameters<typeof makeFleet>[0], options: ReleaseOptions = {}) {
  const fleet = await makeFleet(t);
  const packed = await makeRelease(fleet, options);
  const directory = join(await temporaryDirectory(t), "releases");
  const { torrent } = await makeTorrent(packed.tarball, tarballName(packed.manifest));
  return { fleet, packed, directory, torrent, store: createReleaseStore({ directory }) };
}

t.test("an empty store", async (t) => {
  const store = createReleaseStore({ directory: join(await temporaryDirectory(t), "absent") });
  t.same(await store.list(), []);
  t.equal(await store.hasMetadata("kv", 2), false);
  t.equal(await store.isComplete("kv", 2), false);
  await t.rejects(store.metadata("kv", 2), { code: "E_NO_VERSION" });
  await t.rejects(store.complete("kv", 2), { code: "E_NO_VERSION" });
  await store.remove("kv", 2);
});

t.test("a release that is imported", async (t) => {
  const { store, packed, directory, torrent } = await setUp(t);
  await store.importTarball(packed.envelope, packed.tarball, swarm);
  await store.importTarball(packed.envelope, packed.tarball, swarm);
  const release = await store.metadata("kv", 2);
  t.same(release.envelope, packed.envelope);
  t.same(Buffer.from(release.torrent), Buffer.from(torrent));
  t.same(await readFile(release.tarball), await readFile(packed.tarball));
  t.same(await store.list(), [{ service: "kv", version: 2, complete: true }]);
  t.same(await readdir(join(directory, "kv/2")), ["release.json", "release.tar.gz", "release.torrent"]);
  await store.remove("kv", 2);
  t.same(await readdir(join(directory, "kv")), []);
});

t.test("a release that is downloaded: metadata first, the part, then complete", async (t) => {
  const { store, packed, torrent } = await setUp(t);
  await store.putMetadata(packed.envelope, torrent);
  t.equal(await store.hasMetadata("kv", 2), true);
  t.equal(await store.isComplete("kv", 2), false);
  t.same(await store.list(), [{ service: "kv", version: 2, complete: false }]);
  await t.rejects(store.complete("kv", 2), { code: "E_FETCH" }, "nothing was downloaded yet");
  const { partFile } = await store.metadata("kv", 2);
  await copyFile(packed.tarball, partFile);
  await store.complete("kv", 2);
  await store.complete("kv", 2);
  t.equal(await store.isComplete("kv", 2), true);
  await t.rejects(stat(partFile), { code: "ENOENT" });
});

t.test("altered tarball, of the same length or another", async (t) => {
  const { store, packed, torrent } = await setUp(t);
  await store.putMetadata(packed.envelope, torrent);
  const { partFile } = await store.metadata("kv", 2);
  const altered = await readFile(packed.tarball);
  altered[100] = (altered[100] ?? 0) ^ 1;
  for (const content of [altered, altered.subarray(1), Buffer.concat([altered, altered])]) {
    await writeFile(partFile, content);
    await t.rejects(store.complete("kv", 2), { code: "E_RELEASE_ALTERED" });
    await t.rejects(stat(partFile), { code: "ENOENT" }, "and it is not kept");
  }
  await writeFile(packed.tarball, altered);
  await t.rejects(store.importTarball(packed.envelope, packed.tarball, swarm), { code: "E_RELEASE_ALTERED" });
});

t.test("an altered tarball that is imported leaves nothing", async (t) => {
  const { store, packed, directory } = await setUp(t);
  await truncate(packed.tarball, 50);
  await t.rejects(store.importTarball(packed.envelope, packed.tarball, swarm), { code: "E_RELEASE_ALTERED" });
  t.same(await readdir(directory).catch(() => []), []);
});

t.test("manifest signed other than the one inside", async (t) => {
  const { store, packed, fleet } = await setUp(t);
  const statement = fleet.verifier.verify(packed.envelope, "release");
  const lie = { ...statement, manifest: { ...statement.manifest, memoryMiB: 4096 } };
  const envelope = await signStatement(lie, fleet.keyFile);
  await t.rejects(store.importTarball(envelope, packed.tarball, swarm), { code: "E_RELEASE_ALTERED" });
});

t.test("torrent of another release", async (t) => {
  const { store, packed, fleet, directory } = await setUp(t);
  const other = await makeRelease(fleet, { name: "other", manifest: { version: 3, label: "3" } });
  const { torrent } = await makeTorrent(other.tarball, tarballName(other.manifest));
  await t.rejects(store.putMetadata(packed.envelope, torrent), { code: "E_TORRENT_MISMATCH" });
  await t.rejects(store.putMetadata(packed.envelope, Buffer.from("junk")), { code: "E_TORRENT_MISMATCH" });
  t.same(await readdir(directory).catch(() => []), []);
});

t.test("signed length that the torrent does not have", async (t) => {
  const { store, packed, fleet, torrent } = await setUp(t);
  const statement = fleet.verifier.verify(packed.envelope, "release");
  const envelope = await signStatement({ ...statement, length: statement.length + 1 }, fleet.keyFile);
  await t.rejects(store.putMetadata(envelope, torrent), { code: "E_TORRENT_MISMATCH" });
});

t.test("a release beyond the node's cap is not even begun", async (t) => {
  const { packed, torrent, directory } = await setUp(t);
  const store = createReleaseStore({ directory, releaseBytesMax: 100 });
  await t.rejects(store.putMetadata(packed.envelope, torrent), { code: "E_TOO_LARGE" });
});

t.test("another release with a number that is taken", async (t) => {
  const { store, packed, fleet } = await setUp(t);
  await store.importTarball(packed.envelope, packed.tarball, swarm);
  const other = await makeRelease(fleet, { name: "other", files: { more: "more" } });
  await t.rejects(store.importTarball(other.envelope, other.tarball, swarm), { code: "E_VERSION_NOT_NEWER" });
  t.same((await store.metadata("kv", 2)).envelope, packed.envelope);
  t.equal(await store.isComplete("kv", 2), true);
});

t.test("names that are paths", async (t) => {
  const { store } = await setUp(t);
  for (const [service, version] of [
    ["../kv", 2],
    ["kv/../../x", 2],
    ["kv", 0],
    ["kv", 1.5],
    ["kv", Number.NaN],
  ] as const) {
    t.throws(() => store.hasMetadata(service, version), { code: "E_BAD_REQUEST" });
  }
});

t.test("what a crash left aside is in nobody's way", async (t) => {
  const { store, packed, torrent, directory } = await setUp(t);
  await writeTree(join(directory, "kv"), { "2.new/release.json": "{", "2.gone/x": "x" });
  t.same(await store.list(), []);
  await store.putMetadata(packed.envelope, torrent);
  await store.remove("kv", 2);
  t.same(await readdir(join(directory, "kv")), []);
});

t.test("writers of one release do not meet", async (t) => {
  const { store, packed, torrent } = await setUp(t);
  const imports = [1, 2, 3].map(() => store.importTarball(packed.envelope, packed.tarball, swarm));
  await Promise.all([...imports, store.putMetadata(packed.envelope, torrent)]);
  t.same(await store.list(), [{ service: "kv", version: 2, complete: true }]);
});

const proxied: ReleaseOptions = {
  manifest: { proxy: { module: "proxy/index.js" } },
  files: {
    "proxy/index.js": "import './part.js'",
    "proxy/part.js": "1",
    "package.json": "{}",
    "data/big": "x",
  },
};

t.test("the proxy's directory is unpacked on the host, and no more", async (t) => {
  const { store, packed, directory } = await setUp(t, proxied);
  await store.importTarball(packed.envelope, packed.tarball, swarm);
  const module = await store.extractProxy("kv", 2);
  t.equal(module, join(directory, "kv/2/proxy/proxy/index.js"));
  t.same(await readdir(join(directory, "kv/2/proxy"), { recursive: true }), [
    "package.json",
    "proxy",
    "proxy/index.js",
    "proxy/part.js",
  ]);
  t.equal(await store.extractProxy("kv", 2), module, "the second time it is there");
});

t.test("a release without a proxy module", async (t) => {
  const { store, packed } = await setUp(t);
  await store.importTarball(packed.envelope, packed.tarball, swarm);
  await t.rejects(store.extractProxy("kv", 2), { code: "E_PROXY" });
});

t.test("unpacking as a whole keeps links and leaves owners and times", async (t) => {
  const { store, packed } = await setUp(t, { files: { "lib/x.js": "x" } });
  await store.importTarball(packed.envelope, packed.tarball, swarm);
  const target = join(await temporaryDirectory(t), "whole");
  await store.extract("kv", 2, target);
  t.same((await readdir(target, { recursive: true })).toSorted(), [
    "index.js",
    "lib",
    "lib/x.js",
    "version.json",
  ]);
  t.equal((await stat(join(target, "index.js"))).uid, process.getuid?.());
});

t.test("unpacking into what exists is refused, and touches nothing", async (t) => {
  const { store, packed } = await setUp(t, { files: { "lib/x.js": "x" } });
  await store.importTarball(packed.envelope, packed.tarball, swarm);
  const directory = await temporaryDirectory(t);
  await mkdir(join(directory, "outside"));
  await writeTree(directory, { "target/mine": "mine" });
  await symlink(join(directory, "outside"), join(directory, "target/lib"));
  await t.rejects(store.extract("kv", 2, join(directory, "target")), { code: "E_BAD_REQUEST" });
  t.same(await readdir(join(directory, "outside")), []);
  t.same((await readdir(join(directory, "target"))).toSorted(), ["lib", "mine"]);
});
