import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { PieceFile } from "../../swarm/piece-file.ts";
import type { ChunkStore } from "../../swarm/webtorrent.ts";
import { temporaryDirectory } from "../release/fixture.ts";

async function storeOf(t: Parameters<typeof temporaryDirectory>[0], content: string, writable = true) {
  const file = join(await temporaryDirectory(t), "file");
  await writeFile(file, content);
  const pieces = await PieceFile.open(file, 10, writable);
  t.teardown(() => pieces.close());
  return { file, store: new pieces.storeClass(4), pieces };
}

function get(store: ChunkStore, index: number, options: { offset?: number; length?: number } | null = null) {
  return new Promise<string>((resolve, reject) => {
    store.get(index, options, (error, chunk) => {
      if (error === null) resolve(Buffer.from(chunk ?? []).toString());
      else reject(error);
    });
  });
}

function put(store: ChunkStore, index: number, chunk: string) {
  return new Promise<void>((resolve, reject) => {
    store.put(index, Buffer.from(chunk), (error) => (error === null ? resolve() : reject(error)));
  });
}

t.test("pieces are where they belong, the last one short", async (t) => {
  const { store } = await storeOf(t, "0123456789");
  t.equal(await get(store, 0), "0123");
  t.equal(await get(store, 2), "89");
  t.equal(await get(store, 1, { offset: 1, length: 2 }), "56");
  t.equal(await get(store, 1, { offset: 3 }), "7");
});

t.test("requests outside a piece or outside the file are refused", async (t) => {
  const { store } = await storeOf(t, "0123456789");
  for (const [index, offset, length] of [
    [0, 3, 2],
    [2, 0, 3],
    [3, 0, 1],
    [2 ** 31, 0, 1],
    [0, -1, 2],
    [0, 0, -1],
    [-1, 0, 1],
  ] as const) {
    await t.rejects(get(store, index, { offset, length }), RangeError, `${index} ${offset} ${length}`);
  }
});

t.test("writing, in any order, into a file that was absent", async (t) => {
  const file = join(await temporaryDirectory(t), "new");
  const pieces = await PieceFile.open(file, 10, true);
  const store = new pieces.storeClass(4);
  await put(store, 2, "89");
  await t.rejects(get(store, 3), RangeError);
  await put(store, 0, "0123");
  await put(store, 1, "4567");
  await pieces.sync();
  await new Promise((resolve) => store.close(resolve));
  await pieces.close();
  t.equal(await readFile(file, "utf8"), "0123456789");
});

t.test("a piece that is not there yet", async (t) => {
  const { store } = await storeOf(t, "01");
  await t.rejects(get(store, 0), RangeError);
  await t.rejects(get(store, 2), RangeError);
});

t.test("a seed's file is neither written nor made", async (t) => {
  const { store, file } = await storeOf(t, "0123456789abc", false);
  await t.rejects(put(store, 0, "xxxx"));
  t.equal((await stat(file)).size, 13);
  await t.rejects(PieceFile.open(`${file}.absent`, 10, false), { code: "ENOENT" });
});
