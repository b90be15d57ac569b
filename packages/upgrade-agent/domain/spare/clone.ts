/** A domain from a spare: its disk on the spare's, its own copy of the saved memory, its own facts. */
import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { copyFile, open, rm } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { join } from "node:path";
import type { SpareDisks } from "../../image/contract.ts";
import type { DomainSpec, MachineSaving } from "../hypervisor.ts";
import { identityFacts } from "../xml/identity.ts";
import { personalise } from "./line.ts";
import { HEAD_BYTES, readHead, rewriteHead } from "./save-file.ts";
import type { Spare } from "./shelf.ts";

export interface CloneOptions {
  readonly saving: MachineSaving;
  readonly images: SpareDisks;
  /** Milliseconds for a restored machine to confirm who it is. */
  readonly confirmTimeoutMs: number;
}

/**
 * Answers what its generator of randomness would have said unseeded. When it throws, the domain may exist and its disk
 * is to be renewed; nothing else of it stays.
 */
export async function cloneSpare(
  { saving, images, confirmTimeoutMs }: CloneOptions,
  spare: Spare,
  spec: DomainSpec,
  signal: AbortSignal,
): Promise<string> {
  const socket = join(spare.directory, `c${randomBytes(4).toString("hex")}`);
  const memory = `${socket}.save`;
  try {
    const prepared = [
      images.stackDisk(spec.name, spare.name),
      copyMemory(spare.memory, memory, saving.cloneXml(spec, socket)),
    ];
    await Promise.allSettled(prepared);
    await Promise.all(prepared);
    await saving.restore(spec, memory, signal);
    // QEMU has read it, and 70 MB matter.
    await rm(memory, { force: true });
    const line = { socket, timeoutMs: confirmTimeoutMs, signal };
    const sample = await personalise(line, identityFacts(spec.identity));
    await images.useDisk(spec.name);
    return sample;
  } finally {
    await rm(memory, { force: true });
    await rm(socket, { force: true });
  }
}

/** A saved state for the domain that `xml` describes. Shares blocks where the file system can. Throws E_DOMAIN. */
export async function copyMemory(from: string, to: string, xml: string): Promise<void> {
  await copyFile(from, to, constants.COPYFILE_FICLONE);
  const file = await open(to, "r+");
  try {
    const { dataBytes } = readHead(await readExactly(file, HEAD_BYTES));
    const bytes = rewriteHead(await readExactly(file, HEAD_BYTES + dataBytes), xml);
    await file.write(bytes, 0, bytes.length, 0);
  } finally {
    await file.close();
  }
}

/** What is missing at the end is for the parser to notice. */
async function readExactly(file: FileHandle, bytes: number): Promise<Buffer> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(bytes), 0, bytes, 0);
  return buffer.subarray(0, bytesRead);
}
