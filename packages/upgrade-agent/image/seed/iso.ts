/**
 * A small disc image: ISO 9660 (ECMA-119) with Joliet names, which Linux prefers, in 2,048-byte sectors. Pure.
 *
 *      0  system area, unused                 19  path tables: L, M, and the same for Joliet
 *     16  primary volume descriptor           23  root directory
 *     17  Joliet's volume descriptor          24  root directory with Joliet's names (UCS-2, big endian)
 *     18  end of descriptors                  25  files, each from a new sector
 *
 * Only what the NoCloud data source needs: a few files in the root directory, no other directories, no times.
 */
import { AgentError } from "../../errors.ts";

export interface IsoFile {
  /** 1 to 64 of A-Z a-z 0-9 . _ - */
  readonly name: string;
  readonly contents: Uint8Array;
}

const sector = 2048;
const at = { primary: 16, joliet: 17, end: 18, tables: 19, root: 23, jolietRoot: 24, files: 25 } as const;
const pathTableBytes = 10;
/** A root directory has one sector, so many entries of the longest name fit. */
const filesMax = 8;
const bytesMax = 16 * 1024 ** 2;
/** 14 November 2023, 22:13:20 UTC: some time, always the same. */
const recordTime = Buffer.from([123, 11, 14, 22, 13, 20, 0]);

/** The image with this label. Throws E_IMAGE_FORMAT for names and sizes beyond what fits. */
export function iso(label: string, files: readonly IsoFile[]): Buffer {
  const total = files.reduce((sum, { contents }) => sum + contents.length, 0);
  const bad = files.find(({ name }) => !/^[A-Za-z0-9._-]{1,64}$/.test(name));
  if (
    bad !== undefined ||
    files.length > filesMax ||
    total > bytesMax ||
    !/^[A-Za-z0-9_-]{1,16}$/.test(label)
  ) {
    throw new AgentError("E_IMAGE_FORMAT", "A seed disk holds up to 8 files of 16 MiB with plain names.");
  }
  let next: number = at.files;
  const placed = files.map((file) => {
    const start = next;
    next += Math.max(1, Math.ceil(file.contents.length / sector));
    return { ...file, start };
  });
  const image = Buffer.alloc(next * sector);
  descriptor(image, { at: at.primary, type: 1, label: latin(label), root: at.root, tables: at.tables, next });
  const joliet: Descriptor = {
    at: at.joliet,
    type: 2,
    label: ucs2(label),
    root: at.jolietRoot,
    tables: at.tables + 2,
    next,
  };
  descriptor(image, joliet);
  image.write("\xffCD001\x01", at.end * sector, "latin1");
  for (const [offset, root] of [at.root, at.jolietRoot].entries())
    pathTables(image, at.tables + 2 * offset, root);
  directory(image, at.root, placed, (name, index) => latin(`${plainName(name, index)};1`));
  directory(image, at.jolietRoot, placed, (name) => ucs2(name));
  for (const { start, contents } of placed) image.set(contents, start * sector);
  return image;
}

interface Descriptor {
  readonly at: number;
  readonly type: 1 | 2;
  readonly label: Buffer;
  readonly root: number;
  readonly tables: number;
  /** Sectors of the whole image. */
  readonly next: number;
}

function descriptor(image: Buffer, { at: start, type, label, root, tables, next }: Descriptor): void {
  const block = image.subarray(start * sector, (start + 1) * sector);
  const blank = type === 1 ? " " : "\0 ";
  block.write(`${String.fromCharCode(type)}CD001\x01`, 0, "latin1");
  for (const [from, to] of [
    [8, 72],
    [190, 813],
  ] as const)
    block.fill(Buffer.from(blank, "latin1"), from, to);
  label.copy(block, 40);
  both32(block, 80, next);
  // The escape sequence by which Joliet's descriptor is known: UCS-2, level 3.
  if (type === 2) block.write("%/E", 88, "latin1");
  both16(block, 120, 1);
  both16(block, 124, 1);
  both16(block, 128, sector);
  both32(block, 132, pathTableBytes);
  block.writeUInt32LE(tables, 140);
  block.writeUInt32BE(tables + 1, 148);
  record(Buffer.from([0]), { start: root, bytes: sector, isDirectory: true }).copy(block, 156);
  for (const time of [813, 830, 847, 864]) block.write("0".repeat(16), time, "latin1");
  block[881] = 1;
}

/** One directory, the root, which is its own parent. */
function pathTables(image: Buffer, start: number, root: number): void {
  const little = start * sector;
  const big = (start + 1) * sector;
  image[little] = 1;
  image[big] = 1;
  image.writeUInt32LE(root, little + 2);
  image.writeUInt32BE(root, big + 2);
  image.writeUInt16LE(1, little + 6);
  image.writeUInt16BE(1, big + 6);
}

function directory(
  image: Buffer,
  start: number,
  files: readonly (IsoFile & { readonly start: number })[],
  nameOf: (name: string, index: number) => Buffer,
): void {
  const self = { start, bytes: sector, isDirectory: true };
  const named = files.map((file, index) => ({ name: nameOf(file.name, index), file }));
  const sorted = named.toSorted((a, b) => Buffer.compare(a.name, b.name));
  const records = [
    record(Buffer.from([0]), self),
    record(Buffer.from([1]), self),
    ...sorted.map(({ name, file }) =>
      record(name, { start: file.start, bytes: file.contents.length, isDirectory: false }),
    ),
  ];
  Buffer.concat(records).copy(image, start * sector);
}

function record(
  name: Buffer,
  extent: { readonly start: number; readonly bytes: number; readonly isDirectory: boolean },
): Buffer {
  const bytes = 33 + name.length + (name.length % 2 === 0 ? 1 : 0);
  const entry = Buffer.alloc(bytes);
  entry[0] = bytes;
  both32(entry, 2, extent.start);
  both32(entry, 10, extent.bytes);
  recordTime.copy(entry, 18);
  entry[25] = extent.isDirectory ? 2 : 0;
  both16(entry, 28, 1);
  entry[32] = name.length;
  name.copy(entry, 33);
  return entry;
}

/** For readers without Joliet: eight capitals, kept apart by the number in front. */
function plainName(name: string, index: number): string {
  return `${index}${name.toUpperCase().replaceAll(/[^A-Z0-9]/g, "_")}`.slice(0, 8);
}

function latin(text: string): Buffer {
  return Buffer.from(text, "latin1");
}

function ucs2(text: string): Buffer {
  return Buffer.from(text, "utf16le").swap16();
}

/** Numbers stand in both orders, one after the other. */
function both16(block: Buffer, offset: number, value: number): void {
  block.writeUInt16LE(value, offset);
  block.writeUInt16BE(value, offset + 2);
}

function both32(block: Buffer, offset: number, value: number): void {
  block.writeUInt32LE(value, offset);
  block.writeUInt32BE(value, offset + 4);
}
