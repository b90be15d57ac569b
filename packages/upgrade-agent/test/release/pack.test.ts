import { execFileSync } from "node:child_process";
import {
  chmod,
  copyFile,
  cp,
  link,
  mkdir,
  readdir,
  readFile,
  stat,
  symlink,
  truncate,
  utimes,
  writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { digestFile, packRelease } from "../../release/index.ts";
import { makeTorrent } from "../../swarm/index.ts";
import { makeFleet, makeRelease, manifestSource, temporaryDirectory, writeTree } from "./fixture.ts";

t.test("a release is a tarball and a signed statement about exactly that", async (t) => {
  const fleet = await makeFleet(t);
  const packed = await makeRelease(fleet);
  t.same((await readdir(join(packed.tarball, ".."))).toSorted(), [
    "kv-2.0.0.release.json",
    "kv-2.0.0.tar.gz",
  ]);
  const statement = fleet.verifier.verify(await readFile(packed.envelopeFile), "release");
  t.same(await digestFile(packed.tarball), { length: statement.length, sha256: statement.sha256 });
  t.equal((await makeTorrent(packed.tarball, "kv-2.0.0.tar.gz")).infohash, statement.infohash);
  t.same(statement.manifest, packed.manifest);
  t.same(
    { bytes: packed.bytes, sha256: packed.sha256 },
    { bytes: statement.length, sha256: statement.sha256 },
  );
});

t.test("GNU tar unpacks it to the same tree", async (t) => {
  const fleet = await makeFleet(t);
  const long = `${"d".repeat(90)}/${"e".repeat(90)}/${"ü".repeat(60)}.txt`;
  const { tarball } = await makeRelease(fleet, {
    files: { "@odd name": "x", "empty/x": "", [long]: "long" },
  });
  const target = await temporaryDirectory(t);
  execFileSync("tar", ["xzf", tarball, "-C", target]);
  t.equal(await readFile(join(target, long), "utf8"), "long");
  t.equal(await readFile(join(target, "@odd name"), "utf8"), "x");
  t.equal((await stat(join(target, "empty/x"))).size, 0);
});

t.test("the same bytes for the same tree, wherever, whenever and by whomever it was copied", async (t) => {
  const fleet = await makeFleet(t);
  const files = { "b/2": "two", "b/1": "one", "a.b": "dot", "a/x": "slash", run: "#!/bin/sh\n" };
  const first = await makeRelease(fleet, { files, name: "first" });
  const copy = join(fleet.directory, "copy");
  await cp(join(fleet.directory, "first"), copy, { recursive: true });
  await utimes(join(copy, "b/1"), 1, 2);
  await chmod(join(copy, "b/2"), 0o666);
  await link(join(copy, "a.b"), join(fleet.directory, "second-name"));
  const second = await packRelease({
    directory: copy,
    outputDirectory: join(fleet.directory, "copy-out"),
    keyFile: fleet.keyFile,
  });
  t.equal(second.sha256, first.sha256);
  t.equal(second.infohash, first.infohash);
  t.same(second.envelope, first.envelope);
});

t.test("two names of one file are two files", async (t) => {
  const fleet = await makeFleet(t);
  await makeRelease(fleet, { files: { one: "same" } });
  await link(join(fleet.directory, "app/one"), join(fleet.directory, "app/two"));
  const { tarball } = await packRelease({
    ...requestOf(fleet),
    outputDirectory: join(fleet.directory, "again"),
  });
  const listing = execFileSync("tar", ["tvzf", tarball]).toString();
  t.notMatch(listing, /link to/u);
  t.match(listing, /two/u);
});

t.test("links within the tree are kept, and progress is told", async (t) => {
  const fleet = await makeFleet(t);
  await writeTree(join(fleet.directory, "app"), {
    "version.json": JSON.stringify(manifestSource),
    "lib/x.js": "x",
  });
  await mkdir(join(fleet.directory, "app/bin"));
  await symlink("../lib/x.js", join(fleet.directory, "app/bin/x"));
  const told: number[] = [];
  const packed = await packRelease({
    ...requestOf(fleet),
    onProgress: ({ readBytes }) => told.push(readBytes),
  });
  t.match(execFileSync("tar", ["tvzf", packed.tarball]).toString(), /bin\/x -> \.\.\/lib\/x\.js/u);
  t.ok(told.length > 0);
});

type Fleet = Awaited<ReturnType<typeof makeFleet>>;

const requestOf = ({ directory, keyFile }: Fleet) => ({
  directory: join(directory, "app"),
  outputDirectory: join(directory, "out"),
  keyFile,
});

const refusals: readonly (readonly [
  what: string,
  code: string,
  spoil: (app: string, fleet: Fleet) => Promise<unknown>,
])[] = [
  ["a link that leaves the tree", "E_NOT_A_RELEASE", (app) => symlink("../../etc", join(app, "etc"))],
  ["an absolute link", "E_NOT_A_RELEASE", (app) => symlink("/etc/passwd", join(app, "passwd"))],
  ["a pipe", "E_NOT_A_RELEASE", async (app) => execFileSync("mkfifo", [join(app, "pipe")])],
  [
    "a name that is not UTF-8",
    "E_NOT_A_RELEASE",
    (app) => writeFile(Buffer.from(`${app}/\xff`, "latin1"), "x"),
  ],
  [
    "more bytes than a release may have",
    "E_TOO_LARGE",
    (app) => writeFile(join(app, "big"), Buffer.alloc(200_000)),
  ],
  [
    "a proxy module that is not there",
    "E_MANIFEST",
    (app) => rewrite(app, { proxy: { module: "proxy.js" } }),
  ],
  [
    "a proxy module that is a directory",
    "E_MANIFEST",
    async (app) => {
      await mkdir(join(app, "proxy.js"));
      await rewrite(app, { proxy: { module: "proxy.js" } });
    },
  ],
  ["a faulty manifest", "E_MANIFEST", (app) => rewrite(app, { vcpus: 0 })],
  ["a manifest beyond its cap", "E_MANIFEST", (app) => truncate(join(app, "version.json"), 70_000)],
  [
    "the fleet's private key in the tree",
    "E_CONFIG",
    (app, { keyFile }) => copyFile(keyFile, join(app, "fleet.key")),
  ],
];

const rewrite = (app: string, change: object) =>
  writeFile(join(app, "version.json"), JSON.stringify({ ...manifestSource, ...change }));

for (const [what, code, spoil] of refusals) {
  t.test(`refuses ${what}, and leaves nothing`, async (t) => {
    const fleet = await makeFleet(t);
    const request = requestOf(fleet);
    await writeTree(request.directory, { "version.json": JSON.stringify(manifestSource) });
    await spoil(request.directory, fleet);
    const keyFile = what.includes("key") ? join(request.directory, "fleet.key") : fleet.keyFile;
    await t.rejects(packRelease({ ...request, keyFile, unpackedBytesMax: 100_000 }), { code });
    t.same(await readdir(request.outputDirectory).catch(() => []), []);
  });
}

t.test("refuses a directory without version.json, an output inside the tree, a missing key", async (t) => {
  const fleet = await makeFleet(t);
  const request = requestOf(fleet);
  await t.rejects(packRelease(request), { code: "E_NOT_A_RELEASE" });
  await writeTree(request.directory, { "version.json": JSON.stringify(manifestSource) });
  await t.rejects(packRelease({ ...request, outputDirectory: request.directory }), { code: "E_USAGE" });
  await t.rejects(packRelease({ ...request, keyFile: join(fleet.directory, "no.key") }), {
    code: "E_NO_KEY",
  });
});

t.test("refuses a tarball beyond the cap, and leaves nothing", async (t) => {
  const fleet = await makeFleet(t);
  const request = requestOf(fleet);
  const incompressible = Buffer.from(
    Array.from({ length: 50_000 }, (_, at) => (at * at * 31 + (at >> 3)) & 255),
  );
  await writeTree(request.directory, {
    "version.json": JSON.stringify(manifestSource),
    blob: incompressible,
  });
  await t.rejects(packRelease({ ...request, releaseBytesMax: 200 }), { code: "E_TOO_LARGE" });
  t.same(await readdir(request.outputDirectory), []);
});
