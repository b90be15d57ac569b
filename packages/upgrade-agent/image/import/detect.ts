/** What a file is, by what is in it; names and endings say nothing. */
import { open } from "node:fs/promises";
import { Header } from "tar";
import { decompressed } from "./archive.ts";
import type { ImportFormat } from "../contract.ts";
import { ARCHIVE_ENTRIES_MAX } from "./limits.ts";
import { format, tarEntries } from "./tar-stream.ts";

const qcow2Magic = "514649fb";
const bootSignature = { offset: 510, bytes: "55aa" };
/** Of formats that people have and that this does not read, so that the answer can say what to do. */
const foreign: Readonly<Record<string, string>> = {
  "4b444d56": "VMDK",
  "76686478": "VHDX",
  fd377a58: "xz",
  "425a6839": "bzip2",
};

/** Throws E_IMAGE_FORMAT when it is none of those. */
export async function formatOf(file: string): Promise<Exclude<ImportFormat, "directory">> {
  const start = await beginning(file);
  const magic = start.toString("hex", 0, 4);
  if (magic === qcow2Magic) return "qcow2";
  const name = foreign[magic];
  if (name !== undefined) {
    const how = name.startsWith("V") ? 'convert it with "qemu-img convert -O qcow2"' : "decompress it first";
    throw format(`it is ${name}; ${how}`);
  }
  const isPacked = magic.startsWith("1f8b") || magic === "28b52ffd";
  if (isPacked || (start.length === 512 && new Header(start).cksumValid)) return tarKind(file);
  if (start.toString("hex", bootSignature.offset) === bootSignature.bytes) return "raw";
  throw format("it is no qcow2 or raw disk with a boot loader, no OCI or Docker archive, and no tarball");
}

async function beginning(file: string): Promise<Buffer> {
  const handle = await open(file);
  try {
    const block = Buffer.alloc(512);
    const { bytesRead } = await handle.read(block, 0, 512, 0);
    return block.subarray(0, bytesRead);
  } finally {
    await handle.close();
  }
}

/** An archive around layers says so by files at its root; every other tarball is a root itself. */
async function tarKind(file: string): Promise<"oci-archive" | "docker-archive" | "tarball"> {
  const seen = new Set<string>();
  let count = 0;
  for await (const { path } of tarEntries(decompressed(file))) {
    seen.add(path.replace(/^\.\//, "").replace(/\/$/, ""));
    count += 1;
    if (count > ARCHIVE_ENTRIES_MAX) return "tarball";
  }
  if (seen.has("oci-layout") && seen.has("index.json")) return "oci-archive";
  const isRoot = ["etc", "usr", "bin", "lib"].some((name) => seen.has(name));
  return seen.has("manifest.json") && !isRoot ? "docker-archive" : "tarball";
}
