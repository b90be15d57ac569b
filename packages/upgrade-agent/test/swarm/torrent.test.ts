import { createHash } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as fc from "fast-check";
import t from "tap";
import { makeTorrent } from "../../swarm/index.ts";
import {
  checkTorrent,
  decodeTorrent,
  encodeTorrent,
  infohashOf,
  pieceLengthFor,
  TORRENT_BYTES_MAX,
  TORRENT_FILE_BYTES_MAX,
} from "../../swarm/torrent.ts";
import { temporaryDirectory } from "../release/fixture.ts";

const KIB = 1024;

/** Of the three bytes "abc" under the name "a.tar.gz"; the piece's hash is FIPS 180's own example. */
const golden =
  "64343a696e666f64363a6c656e677468693365343a6e616d65383a612e7461722e677a31323a7069656365206c656e677468693236323134" +
  "3465363a70696563657332303aa9993e364706816aba3e25717850c26c9cd0d89d6565";

t.test("golden bytes and infohash", async (t) => {
  const pieces = createHash("sha1").update("abc").digest();
  const bytes = encodeTorrent({ name: "a.tar.gz", length: 3, pieceLength: 256 * KIB, pieces });
  t.equal(Buffer.from(bytes).toString("hex"), golden);
  const info = Buffer.from(golden, "hex").subarray(7, -1);
  t.equal(infohashOf(bytes), createHash("sha1").update(info).digest("hex"));
  const file = join(await temporaryDirectory(t), "whatever");
  await writeFile(file, "abc");
  const made = await makeTorrent(file, "a.tar.gz");
  t.equal(Buffer.from(made.torrent).toString("hex"), golden);
  t.equal(made.infohash, infohashOf(bytes));
});

t.test("pieces: 256 KiB for small files, 8 MiB for the largest, the torrent below its cap", async (t) => {
  t.equal(pieceLengthFor(1), 256 * KIB);
  t.equal(pieceLengthFor(64 * KIB * KIB), 256 * KIB);
  t.equal(pieceLengthFor(64 * KIB * KIB + 1), 512 * KIB);
  t.equal(pieceLengthFor(2 * KIB ** 3), 8192 * KIB);
  const largest = TORRENT_FILE_BYTES_MAX;
  t.equal(pieceLengthFor(largest), 8192 * KIB);
  t.ok((largest / pieceLengthFor(largest)) * 20 + 1000 < TORRENT_BYTES_MAX);
});

t.test("a file of several pieces, the last one short", async (t) => {
  const file = join(await temporaryDirectory(t), "x");
  const content = Buffer.alloc(600 * KIB, "x");
  await writeFile(file, content);
  const { torrent } = await makeTorrent(file, "x");
  const { pieces, length } = decodeTorrent(torrent);
  t.equal(length, 600 * KIB);
  const hashes = [0, 256, 512].map((at) => content.subarray(at * KIB, (at + 256) * KIB));
  t.same(
    Buffer.from(pieces),
    Buffer.concat(hashes.map((piece) => createHash("sha1").update(piece).digest())),
  );
});

t.test("what no torrent is made of", async (t) => {
  const file = join(await temporaryDirectory(t), "x");
  await writeFile(file, "");
  await t.rejects(makeTorrent(file, "x"), { code: "E_NOT_A_RELEASE" });
  await writeFile(file, "x");
  for (const name of ["", "../x", "a/b", ".hidden", "x".repeat(201), "ü"]) {
    await t.rejects(makeTorrent(file, name), { code: "E_BAD_REQUEST" });
  }
});

const text = Buffer.from(golden, "hex").toString("latin1");
const attacks: readonly (readonly [name: string, bytes: string])[] = [
  ["nothing", ""],
  ["trackers", text.replace("d4:info", "d8:announce15:http://evil.com4:info")],
  ["trackers after the info", `${text.slice(0, -1)}8:url-list15:http://evil.come`],
  ["web seeds after the end", `${text}x`],
  ["many files", text.replace("6:lengthi3e", "5:filesld6:lengthi3e4:pathl1:aeee")],
  ["a name that is a path", text.replace("8:a.tar.gz", "8:../../xx")],
  ["a name of another length than said", text.replace("8:a.tar.gz", "9:a.tar.gz")],
  ["pieces of another size", text.replace("i262144e", "i16384e")],
  ["fewer hashes than pieces", text.replace("6:lengthi3e", "6:lengthi300000e")],
  ["a length with a leading zero", text.replace("6:lengthi3e", "6:lengthi03e")],
  ["a length that is negative", text.replace("6:lengthi3e", "6:lengthi-3e")],
  ["a length beyond any release", text.replace("6:lengthi3e", "6:lengthi99999999999999e")],
  ["the private flag", text.replace("ee", "7:privatei1eee")],
  ["cut off", text.slice(0, -5)],
  ["oversized", text.padEnd(TORRENT_BYTES_MAX + 1, "e")],
];

for (const [name, bytes] of attacks) {
  t.test(`refuses ${name}`, async (t) => {
    t.throws(() => decodeTorrent(Buffer.from(bytes, "latin1")), { code: "E_TORRENT_MISMATCH" });
  });
}

t.test("refuses a torrent of another infohash", async (t) => {
  const bytes = Buffer.from(golden, "hex");
  t.equal(checkTorrent(bytes, infohashOf(bytes)).name, "a.tar.gz");
  t.throws(() => checkTorrent(bytes, "00".repeat(20)), { code: "E_TORRENT_MISMATCH" });
});

t.test("what is encoded is decoded to the same", async () => {
  const name = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._+~-]{0,60}$/u);
  fc.assert(
    fc.property(name, fc.integer({ min: 1, max: 20_000_000 }), (name, length) => {
      const pieceLength = pieceLengthFor(length);
      const pieces = new Uint8Array(Math.ceil(length / pieceLength) * 20).fill(length & 255);
      const bytes = encodeTorrent({ name, length, pieceLength, pieces });
      const back = decodeTorrent(bytes);
      return back.name === name && back.length === length && Buffer.from(encodeTorrent(back)).equals(bytes);
    }),
  );
});

t.test("changed bytes are refused, or another infohash", async () => {
  const sound = Buffer.from(golden, "hex");
  const refusedOrOther = (bytes: Buffer): boolean => {
    try {
      decodeTorrent(bytes);
    } catch (error) {
      return (error as { code?: string }).code === "E_TORRENT_MISMATCH";
    }
    return bytes.equals(sound) || infohashOf(bytes) !== infohashOf(sound);
  };
  const edits = fc.array(fc.tuple(fc.nat(sound.byteLength - 1), fc.nat(255)), { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(edits, (edits) => {
      const bytes = Buffer.from(sound);
      for (const [at, byte] of edits) bytes[at] = byte;
      return refusedOrOther(bytes);
    }),
  );
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (random) => refusedOrOther(Buffer.from(random))));
});
