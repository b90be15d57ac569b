/** Laying layers over each other: as root, because owners are part of it. One test per attack. */
import { createHash } from "node:crypto";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import t from "tap";
import { Unpacker, type UnpackLimits } from "../../../image/import/unpack.ts";
import { missing } from "../needs.ts";
import { tarball, type Entry } from "./archives.ts";

const skip = missing();
const directory = mkdtempSync(join(tmpdir(), "vmim-unpack-"));
t.teardown(() => rmSync(directory, { recursive: true }));
let count = 0;

async function* inPieces(bytes: Buffer): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += 700) yield bytes.subarray(at, at + 700);
}

/** A new root beside a file that nothing may touch. */
async function unpack(layers: readonly (readonly Entry[])[], limits: UnpackLimits = {}) {
  count += 1;
  const outside = join(directory, String(count));
  mkdirSync(join(outside, "root"), { recursive: true });
  writeFileSync(join(outside, "victim"), "untouched");
  const root = join(outside, "root");
  const unpacker = new Unpacker(root, limits);
  for (const layer of layers) await unpacker.layer(inPieces(tarball(layer)));
  await unpacker.finish();
  return { root, outside, unpacker };
}

/** Everything beside the last root: its names, contents and times. */
function surroundings(): string {
  const outside = join(directory, String(count));
  const hash = createHash("sha256");
  hash.update(readdirSync(outside).join()).update(readFileSync(join(outside, "victim")));
  hash.update(String(statSync(join(outside, "victim")).mode));
  return hash.digest("hex");
}

const untouched = createHash("sha256")
  .update("root,victim")
  .update("untouched")
  .update(String(0o100644))
  .digest("hex");

t.test("layers: replaced, removed, owners, modes, links, times", { skip }, async (t) => {
  const { root, unpacker } = await unpack([
    [
      { path: "./", type: "Directory", mode: 0o755 },
      { path: "etc/", type: "Directory", mode: 0o750, uid: 7, gid: 8 },
      { path: "etc/one", contents: "1", uid: 5, gid: 6, mode: 0o4755 },
      { path: "etc/two", contents: "2" },
      { path: "lib", type: "SymbolicLink", linkpath: "/usr/lib" },
      { path: "old/deep/file", contents: "old" },
      { path: "dir/kept", contents: "below" },
      { path: "hard", type: "Link", linkpath: "etc/one" },
      { path: "dev/null", type: "CharacterDevice" },
      { path: "run/pipe", type: "FIFO" },
    ],
    [
      { path: "etc/two", contents: "two" },
      { path: "etc/.wh.one" },
      { path: "old/deep/new", contents: "new" },
      { path: "old/.wh..wh..opq" },
      { path: ".wh.absent" },
      { path: "lib/library", contents: "through the link" },
      { path: "dir", contents: "now a file" },
    ],
  ]);
  t.notOk(existsSync(join(root, "etc/one")));
  t.match(statSync(join(root, "hard")), { uid: 5, gid: 6, mode: 0o104755 }, "the other name of it stays");
  t.match(statSync(join(root, "etc")), { uid: 7, gid: 8, mode: 0o040750 });
  t.equal(statSync(join(root, "etc")).mtimeMs, 1e12);
  t.equal(readFileSync(join(root, "etc/two"), "utf8"), "two");
  t.same(readdirSync(join(root, "old/deep")), ["new"], "an opaque directory keeps what its own layer brings");
  t.equal(readFileSync(join(root, "usr/lib/library"), "utf8"), "through the link");
  t.equal(readlinkSync(join(root, "lib")), "/usr/lib");
  t.equal(readFileSync(join(root, "dir"), "utf8"), "now a file");
  t.equal(unpacker.skipped, 2, "devices and pipes are left out and counted");
});

const attacks: readonly (readonly [what: string, layers: readonly (readonly Entry[])[]])[] = [
  ["a path that climbs", [[{ path: "../victim", contents: "x" }]]],
  ["a path that climbs inside", [[{ path: "a/../../victim", contents: "x" }]]],
  ["a whiteout that climbs", [[{ path: "../.wh.victim" }]]],
  [
    "a whiteout of the parent",
    [[{ path: "a/b", contents: "" }], [{ path: "a/.wh..." }, { path: ".wh..", contents: "" }]],
  ],
  ["a hard link out of the root", [[{ path: "x", type: "Link", linkpath: "../victim" }]]],
  [
    "a hard link through a link",
    [
      [
        { path: "up", type: "SymbolicLink", linkpath: ".." },
        { path: "x", type: "Link", linkpath: "up/victim" },
      ],
    ],
  ],
  ["our own directory", [[{ path: ".version-manager/vm-init", contents: "mine" }]]],
  [
    "our own directory through a link",
    [
      [
        { path: "here", type: "SymbolicLink", linkpath: "." },
        { path: "here/.version-manager", type: "SymbolicLink", linkpath: "/tmp" },
      ],
    ],
  ],
  ["an owner that no container has", [[{ path: "x", uid: 65_536 }]]],
  ["a header that lies about its size", [[{ path: "x", contents: "short", size: 10_000_000 }]]],
  [
    "links in a circle",
    [
      [
        { path: "a", type: "SymbolicLink", linkpath: "a" },
        { path: "a/x", contents: "" },
      ],
    ],
  ],
  [
    "a file used as a directory",
    [
      [
        { path: "a", contents: "" },
        { path: "a/x", contents: "" },
      ],
    ],
  ],
];

for (const [what, layers] of attacks) {
  t.test(`refused: ${what}`, { skip }, async (t) => {
    await t.rejects(unpack(layers), { code: "E_IMAGE_FORMAT" });
    t.equal(surroundings(), untouched);
  });
}

t.test("links out of the root are followed inside it", { skip }, async (t) => {
  const { root, outside } = await unpack([
    [
      { path: "up", type: "SymbolicLink", linkpath: "../../.." },
      { path: "up/victim", contents: "inside" },
      { path: "absolute", type: "SymbolicLink", linkpath: join(directory, String(count + 1)) },
      { path: "absolute/victim", contents: "inside too" },
      { path: "file", type: "SymbolicLink", linkpath: join(directory, String(count + 1), "victim") },
    ],
    [{ path: "file", contents: "replaces the link, not its target" }],
  ]);
  t.equal(readFileSync(join(outside, "victim"), "utf8"), "untouched");
  t.equal(readFileSync(join(root, "victim"), "utf8"), "inside");
  t.ok(lstatSync(join(root, "file")).isFile());
  t.equal(surroundings(), untouched);
});

t.test(
  "a directory that becomes a link does not get the host's directory a new time",
  { skip },
  async (t) => {
    const target = join(directory, "target", "sub");
    mkdirSync(target, { recursive: true });
    const before = statSync(target).mtimeMs;
    await unpack([
      [{ path: "a/sub/", type: "Directory" }],
      [{ path: "a", type: "SymbolicLink", linkpath: join(directory, "target") }],
    ]);
    t.equal(statSync(target).mtimeMs, before);
  },
);

t.test("bombs end at their bound", { skip }, async (t) => {
  const many = Array.from({ length: 40 }, (_, at) => ({ path: `f${at}`, contents: "x".repeat(600) }));
  await t.rejects(unpack([many], { bytesMax: 20_000 }), { code: "E_TOO_LARGE" });
  await t.rejects(unpack([many], { entriesMax: 10 }), { code: "E_TOO_LARGE" });
  await t.rejects(
    unpack([many.slice(0, 6), many.slice(6, 12)], { entriesMax: 10 }),
    { code: "E_TOO_LARGE" },
    "all layers together",
  );
});

t.test("whatever entries come, nothing outside changes", { skip, timeout: 300_000 }, async () => {
  const word = fc.constantFrom(
    "a",
    "b",
    "..",
    ".",
    "",
    ".wh.a",
    ".wh..wh..opq",
    ".version-manager",
    "victim",
  );
  const path = fc.array(word, { minLength: 1, maxLength: 4 }).map((words) => words.join("/"));
  const entry: fc.Arbitrary<Entry> = fc.record({
    path,
    linkpath: fc.oneof(
      path,
      path.map((text) => `/${text}`),
      path.map((text) => `../../${text}`),
    ),
    type: fc.constantFrom("File", "Directory", "SymbolicLink", "Link", "FIFO"),
    mode: fc.constantFrom(0o755, 0o4755, 0o600),
  });
  const layers = fc.array(fc.array(entry, { maxLength: 8 }), { maxLength: 3 });
  await fc.assert(
    fc.asyncProperty(layers, async (described) => {
      await unpack(described).catch((error: unknown) => {
        if ((error as { code?: string }).code !== "E_IMAGE_FORMAT") throw error;
      });
      return surroundings() === untouched;
    }),
    { numRuns: 300 },
  );
});
