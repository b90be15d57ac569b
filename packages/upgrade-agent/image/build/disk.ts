/**
 * A root directory as a disk that virtual machines put their copy-on-write layer on. The same tree makes the same
 * bytes: it goes in by a sorted archive, and no tool on the way may look at a clock or make up an id. (`mkfs.ext4 -d`
 * does both, and takes files in the order in which the host's file system happens to list them.)
 */
import { rm, stat, truncate } from "node:fs/promises";
import { join } from "node:path";
import { run } from "./command.ts";

export const diskFile = "root.qcow2";

/** What a domain sees as the size of its disk, bytes. The file takes only what is written. */
const diskBytes = 8 * 1024 ** 3;
/** Programs that `makeDisk` needs. */
export const diskPrograms = [
  "debugfs",
  "e2fsck",
  "genext2fs",
  "qemu-img",
  "resize2fs",
  "setpriv",
  "tar",
  "tune2fs",
] as const;
const blockBytes = 4096;
/** Blocks that one group has when genext2fs makes it. */
const groupBlocks = 8192;
/** An inode for so many bytes of the archive; headers alone are 512. The whole disk gets them in this proportion. */
const bytesPerInode = 16_384;

/** Seconds since 1970 that everything made here bears. Files of packages that are older keep their own time. */
export const sourceDateEpoch = 1_700_000_000;
/** Two disks never meet in one domain, so all may have the same. */
const fileSystemId = "7e57ab1e-0000-4000-8000-000000000001";

const fixedClock = {
  E2FSPROGS_FAKE_TIME: String(sourceDateEpoch),
  E2FSCK_TIME: String(sourceDateEpoch),
};

/** Writes `root.qcow2` into `output`. Not compressed: reading it while booting would cost more than it saves. */
export async function makeDisk(root: string, output: string, signal?: AbortSignal): Promise<void> {
  const archive = join(output, "root.tar");
  const raw = join(output, "root.raw");
  await archiveTree(root, archive, signal);
  await makeFileSystem(root, archive, raw, signal);
  await rm(archive);
  await run("qemu-img", ["convert", "-f", "raw", "-O", "qcow2", raw, join(output, diskFile)], { signal });
  await rm(raw);
}

/** Sorted, owners as numbers, no time after the epoch, nothing about who packed it. */
export async function archiveTree(root: string, archive: string, signal?: AbortSignal): Promise<void> {
  const times = ["--clamp-mtime", `--mtime=@${sourceDateEpoch}`];
  const headers = ["--format=pax", "--pax-option=exthdr.name=%d/pax/%f,delete=atime,delete=ctime"];
  const order = ["--sort=name", "--numeric-owner"];
  await run("tar", ["-C", root, ...order, ...times, ...headers, "-cf", archive, "."], { signal });
}

async function makeFileSystem(
  root: string,
  archive: string,
  raw: string,
  signal?: AbortSignal,
): Promise<void> {
  const { size } = await stat(archive);
  const groups = Math.ceil((size * 1.2) / blockBytes / groupBlocks) + 1;
  const blocks = String(groups * groupBlocks);
  const inodes = String(groups * Math.ceil((groupBlocks * blockBytes) / bytesPerInode));
  const sizes = ["-B", String(blockBytes), "-b", blocks, "-N", inodes, "-m", "0"];
  // Not "-q": that is no silence, but makes every file root's and private.
  await run("genext2fs", ["-f", ...sizes, "-L", "vm-root", "-a", archive, raw], { signal });
  const { mode, uid, gid } = await stat(root);
  // What came out is ext2 as of 1996. It becomes what mkfs.ext4 would make, as far as that can be added.
  const steps: readonly (readonly string[])[] = [
    ["tune2fs", "-U", fileSystemId, "-O", "extents,dir_index,large_file", "-E", "hash_alg=half_md4", raw],
    ["debugfs", "-w", "-R", `set_super_value hash_seed ${fileSystemId}`, raw],
    // The archive's entry for the root itself is not taken over.
    ["debugfs", "-w", "-R", `set_inode_field <2> mode 0${mode.toString(8)}`, raw],
    ["debugfs", "-w", "-R", `set_inode_field <2> uid ${uid}`, raw],
    ["debugfs", "-w", "-R", `set_inode_field <2> gid ${gid}`, raw],
    ["e2fsck", "-fyD", raw],
    ["tune2fs", "-I", "256", raw],
  ];
  for (const step of steps) await tool(step, signal);
  await truncate(raw, diskBytes);
  await tool(["resize2fs", raw], signal);
  await tool(["tune2fs", "-j", "-J", "size=16", raw], signal);
}

/** e2fsck answers 1 when it changed something, which is what it is asked for. */
async function tool([program = "", ...words]: readonly string[], signal?: AbortSignal): Promise<void> {
  await run(program, words, { env: fixedClock, signal, alsoFine: program === "e2fsck" ? [1] : [] });
}
