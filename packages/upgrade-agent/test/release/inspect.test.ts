import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import * as fc from "fast-check";
import { Header, Pax } from "tar";
import t from "tap";
import { inspectRelease, MANIFEST_BYTES_MAX } from "../../release/index.ts";
import { makeFleet, makeRelease, manifestSource, temporaryDirectory } from "./fixture.ts";

const directory = await temporaryDirectory(t);
const file = join(directory, "attack.tar.gz");
const manifestText = JSON.stringify(manifestSource);

type HeaderData = NonNullable<ConstructorParameters<typeof Header>[0]>;

/** One entry of a tarball, however odd. */
function entry(header: Exclude<HeaderData, Buffer>, content: string | Buffer = ""): Buffer {
  const body = Buffer.from(content);
  const block = Buffer.alloc(512);
  new Header({ mode: 0o644, size: body.byteLength, type: "File", ...header }).encode(block, 0);
  return Buffer.concat([block, body, Buffer.alloc((512 - (body.byteLength % 512)) % 512)]);
}

const manifestEntry = entry({ path: "version.json" }, manifestText);
const end = Buffer.alloc(1024);

async function inspect(...entries: Buffer[]) {
  await writeFile(file, gzipSync(Buffer.concat([...entries, end])));
  return inspectRelease(file, { entriesMax: 50, unpackedBytesMax: 1_000_000 });
}

t.test("what pack made is a release", async (t) => {
  const packed = await makeRelease(await makeFleet(t), { files: { "lib/a": "a" } });
  const { manifest, entries, unpackedBytes } = await inspectRelease(packed.tarball);
  t.same(manifest, packed.manifest);
  t.equal(entries, 4);
  t.ok(unpackedBytes >= 4 * 512);
});

t.test("what `tar cz .` makes is a release as well", async (t) => {
  const { manifest } = await inspect(
    entry({ path: "./", type: "Directory" }),
    entry({ path: "./version.json" }, manifestText),
  );
  t.equal(manifest.service, "kv");
});

const attacks: readonly (readonly [name: string, code: string, entries: () => Buffer[]])[] = [
  ["no version.json", "E_NOT_A_RELEASE", () => [entry({ path: "x" }, "x")]],
  ["empty tarball", "E_NOT_A_RELEASE", () => []],
  [
    "version.json is a directory",
    "E_NOT_A_RELEASE",
    () => [entry({ path: "version.json", type: "Directory" })],
  ],
  [
    "version.json is a link",
    "E_NOT_A_RELEASE",
    () => [entry({ path: "version.json", type: "SymbolicLink", linkpath: "x" })],
  ],
  ["version.json twice", "E_NOT_A_RELEASE", () => [manifestEntry, manifestEntry]],
  [
    "version.json twice by another spelling",
    "E_NOT_A_RELEASE",
    () => [manifestEntry, entry({ path: "./version.json" }, manifestText)],
  ],
  ["faulty version.json", "E_MANIFEST", () => [entry({ path: "version.json" }, "{}")]],
  [
    "version.json beyond its cap",
    "E_MANIFEST",
    () => [entry({ path: "version.json" }, Buffer.alloc(MANIFEST_BYTES_MAX + 1, " "))],
  ],
  [
    "proxy module missing",
    "E_MANIFEST",
    () => [entry({ path: "version.json" }, JSON.stringify({ ...manifestSource, proxy: { module: "p.js" } }))],
  ],
  ["path traversal", "E_NOT_A_RELEASE", () => [manifestEntry, entry({ path: "../evil" }, "x")]],
  [
    "path traversal in the middle",
    "E_NOT_A_RELEASE",
    () => [manifestEntry, entry({ path: "a/../../evil" }, "x")],
  ],
  ["absolute path", "E_NOT_A_RELEASE", () => [manifestEntry, entry({ path: "/etc/cron.d/evil" }, "x")]],
  [
    "path traversal by a pax header",
    "E_NOT_A_RELEASE",
    () => [manifestEntry, new Pax({ path: "../evil" }).encode(), entry({ path: "good" }, "x")],
  ],
  [
    "link out of the tree",
    "E_NOT_A_RELEASE",
    () => [manifestEntry, entry({ path: "l", type: "SymbolicLink", linkpath: "../x" })],
  ],
  [
    "absolute link",
    "E_NOT_A_RELEASE",
    () => [manifestEntry, entry({ path: "l", type: "SymbolicLink", linkpath: "/etc" })],
  ],
  [
    "file behind a link",
    "E_NOT_A_RELEASE",
    () => [
      manifestEntry,
      entry({ path: "l", type: "SymbolicLink", linkpath: "d" }),
      entry({ path: "l/x" }, "x"),
    ],
  ],
  [
    "file behind a link that comes later",
    "E_NOT_A_RELEASE",
    () => [
      manifestEntry,
      entry({ path: "l/x" }, "x"),
      entry({ path: "l", type: "SymbolicLink", linkpath: "d" }),
    ],
  ],
  [
    "hard link",
    "E_NOT_A_RELEASE",
    () => [manifestEntry, entry({ path: "l", type: "Link", linkpath: "version.json" })],
  ],
  ["device", "E_NOT_A_RELEASE", () => [manifestEntry, entry({ path: "sda", type: "BlockDevice" })]],
  ["pipe", "E_NOT_A_RELEASE", () => [manifestEntry, entry({ path: "p", type: "FIFO" })]],
  [
    "more entries than allowed",
    "E_TOO_LARGE",
    () => [manifestEntry, ...Array.from({ length: 50 }, (_, at) => entry({ path: `f${at}` }))],
  ],
  ["zip bomb", "E_TOO_LARGE", () => [manifestEntry, entry({ path: "zeros" }, Buffer.alloc(2_000_000))]],
  ["zip bomb after the end", "E_TOO_LARGE", () => [manifestEntry, end, Buffer.alloc(2_000_000)]],
  [
    "zip bomb in a pax header",
    "E_NOT_A_RELEASE",
    () => [entry({ path: "pax", type: "ExtendedHeader" }, Buffer.alloc(2_000_000))],
  ],
  [
    "broken checksum",
    "E_NOT_A_RELEASE",
    () => [manifestEntry, Buffer.concat([Buffer.from("x"), entry({ path: "a" }).subarray(1)])],
  ],
];

for (const [name, code, entries] of attacks) {
  t.test(name, async (t) => t.rejects(inspect(...entries()), { code }));
}

t.test("not gzip, not tar, compressed twice, cut off, absent, a directory", async (t) => {
  const code = { code: "E_NOT_A_RELEASE" };
  const tar = Buffer.concat([manifestEntry, end]);
  for (const content of [
    "",
    "hello",
    tar,
    gzipSync("hello"),
    gzipSync(gzipSync(tar)),
    gzipSync(zstdCompressSync(tar)),
  ]) {
    await writeFile(file, content);
    await t.rejects(inspectRelease(file), code);
  }
  const whole = gzipSync(Buffer.concat([manifestEntry, entry({ path: "x" }, Buffer.alloc(5000, "x")), end]));
  await writeFile(file, whole.subarray(0, whole.byteLength - 20));
  await t.rejects(inspectRelease(file), code);
  await t.rejects(inspectRelease(join(directory, "absent")), code);
  await t.rejects(inspectRelease(directory), code);
});

t.test("can be aborted", async (t) => {
  await writeFile(file, gzipSync(Buffer.concat([manifestEntry, end])));
  await t.rejects(inspectRelease(file, { signal: AbortSignal.abort() }), { name: "AbortError" });
});

const answers = new Set(["E_NOT_A_RELEASE", "E_TOO_LARGE", "E_MANIFEST"]);

async function answerTo(content: Uint8Array): Promise<boolean> {
  await writeFile(file, content);
  try {
    await inspectRelease(file, { entriesMax: 50, unpackedBytesMax: 100_000 });
    return true;
  } catch (error) {
    return answers.has((error as { code?: string }).code ?? "");
  }
}

t.test("random bytes, compressed or not, are answered with a code", async () => {
  const bytes = fc.uint8Array({ maxLength: 2000 });
  await fc.assert(fc.asyncProperty(bytes, (random) => answerTo(random)));
  await fc.assert(fc.asyncProperty(bytes, (random) => answerTo(gzipSync(random))));
});

t.test("a tarball with some bytes changed is answered with a code", async () => {
  const tar = Buffer.concat([
    manifestEntry,
    new Pax({ path: "long", mtime: new Date(0) }).encode(),
    entry({ path: "a" }, "a"),
    entry({ path: "d", type: "Directory" }),
    entry({ path: "d/l", type: "SymbolicLink", linkpath: "../a" }),
    end,
  ]);
  const changes = fc.array(fc.tuple(fc.nat(tar.byteLength - 1), fc.nat(255)), { minLength: 1, maxLength: 8 });
  const changed = (edits: [number, number][]) => {
    const copy = Buffer.from(tar);
    for (const [at, byte] of edits) copy[at] = byte;
    return copy;
  };
  await fc.assert(
    fc.asyncProperty(changes, (edits) => answerTo(gzipSync(changed(edits)))),
    { numRuns: process.env["FULL"] === "1" ? 300 : 150 },
  );
});
