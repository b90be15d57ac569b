/**
 * Spares on disk. Each is a private disk of the image store with more beside it, so that its images are claimed like
 * those of any disk and one removal takes all of it:
 *
 *     DISKS/spare.HASH/{disk.json,frozen.qcow2,empty.qcow2}  see ../../image/spare-disk.ts
 *     DISKS/spare.HASH/memory.save   what libvirt wrote; readable by root alone
 *     DISKS/spare.HASH/console.log   of the machine that was saved
 *     DISKS/spare.HASH/spare.json    written last: a spare without it is half made, and removed
 *     DISKS/spare.HASH/c…            of clones under way; left over from a death when the agent starts
 */
import { createHash } from "node:crypto";
import { chmod, open, readdir, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import type { ImageStore } from "../../image/contract.ts";
import type { DomainDisk } from "../hypervisor.ts";
import type { Shape } from "./policy.ts";

const PREFIX = "spare.";
/** Grows when the guest's end of the line, or what a clone expects of a spare, becomes another. */
const FORMAT = 1;

export type MachineDisk = Extract<DomainDisk, { readonly kind: "qcow2" }>;

const recordSchema = z.strictObject({
  format: z.literal(FORMAT),
  /** Hash of `MachineSaving.circumstances`. */
  circumstances: z.string(),
  memoryBytes: z.number(),
  shape: z.strictObject({ memoryMiB: z.number(), vcpus: z.number(), base: z.string().optional() }),
});
type SpareRecord = z.infer<typeof recordSchema>;

/** A spare that is whole. */
export interface Spare {
  readonly name: string;
  readonly directory: string;
  readonly memory: string;
  readonly disk: MachineDisk;
  readonly shape: Shape;
  readonly circumstances: string;
  /** On disk, all of it. */
  readonly bytes: number;
  readonly usedAtMs: number;
}

/** Of the spare for machines on these images; every one of them has room for one spare. */
export function spareName(digests: readonly string[], { memoryMiB, vcpus }: Shape): string {
  return `${PREFIX}${hash(JSON.stringify([FORMAT, digests, memoryMiB, vcpus])).slice(0, 20)}`;
}

export function hash(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

/** Of the machine that becomes the spare in this directory: no other agent's has the same. */
export function machineName(directory: string): string {
  return `spare-${hash(directory).slice(0, 20)}`;
}

export class Shelf {
  readonly #images: ImageStore;

  constructor(images: ImageStore) {
    this.#images = images;
  }

  /** All that is there, whole or not. */
  async names(): Promise<string[]> {
    return (await this.#images.listDisks()).filter((name) => name.startsWith(PREFIX));
  }

  /** Undefined when it is not there, half made, of an older format, or its memory is not what was written. */
  async find(name: string): Promise<Spare | undefined> {
    const disk = await this.#images.findDisk(name, "qcow2");
    if (disk?.kind !== "qcow2") return undefined;
    const directory = dirname(disk.path);
    const record = await readRecord(join(directory, "spare.json"));
    if (record === undefined) return undefined;
    const memory = join(directory, "memory.save");
    const sizes = await Promise.all(
      [memory, join(directory, "frozen.qcow2"), join(directory, "empty.qcow2")].map((file) => stat(file)),
    ).catch(() => []);
    if (sizes[0]?.size !== record.memoryBytes) return undefined;
    const { circumstances, shape } = record;
    const { mtimeMs } = await stat(join(directory, "spare.json"));
    const bytes = sizes.reduce((sum, { blocks }) => sum + blocks * 512, 0);
    const { base, ...size } = shape;
    const exact = base === undefined ? size : { ...size, base };
    return { name, directory, memory, disk, shape: exact, circumstances, bytes, usedAtMs: mtimeMs };
  }

  /** The last step of making one: from now on it is whole. */
  async finish(name: string, directory: string, shape: Shape, circumstances: string): Promise<void> {
    const memory = join(directory, "memory.save");
    await chmod(memory, 0o600);
    await sync(memory);
    await this.#images.freezeDisk(name);
    const { size } = await stat(memory);
    const record: SpareRecord = { format: FORMAT, circumstances, memoryBytes: size, shape: { ...shape } };
    const file = join(directory, "spare.json");
    await writeFile(`${file}.new`, JSON.stringify(record));
    await rename(`${file}.new`, file);
  }

  /** Remembered beyond the process: what was used last is wanted most. */
  async touch({ directory }: Spare): Promise<void> {
    await utimes(join(directory, "spare.json"), new Date(), new Date());
  }

  async remove(name: string): Promise<void> {
    const disk = await this.#images.findDisk(name, "qcow2");
    // First what makes it whole, so that a death on the way leaves something that is seen to be broken.
    if (disk?.kind === "qcow2") await rm(join(dirname(disk.path), "spare.json"), { force: true });
    await this.#images.removeDisk(name);
  }

  /** What clones left that were under way when the process died. */
  async sweep({ directory }: Spare): Promise<void> {
    for (const file of await readdir(directory))
      if (/^c[0-9a-f]/.test(file)) await rm(join(directory, file), { force: true });
  }
}

async function readRecord(file: string): Promise<SpareRecord | undefined> {
  const text = await readFile(file, "utf8").catch(() => "{}");
  try {
    return recordSchema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

/** A power cut must not leave a record that promises more than is there. */
async function sync(file: string): Promise<void> {
  const handle = await open(file, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
