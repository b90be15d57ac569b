/**
 * What disks have to do with warm spares. Beside a disk lies how far it is:
 *
 *     DIRECTORY/NAME/state         "fresh": never booted; "cloning": on the way to a clone; absent: in use
 *     DIRECTORY/NAME/frozen.qcow2  of a spare: what its machine had written when it was saved; nobody writes to it again.
 *                                  Of a clone: the same file by another name, so a spare can go while its clones live.
 *     DIRECTORY/NAME/empty.qcow2   of a spare: an overlay on frozen.qcow2 that a clone's disk is a copy of
 */
import { chmod, chown, copyFile, link, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { run } from "./build/command.ts";

export type DiskState = "fresh" | "cloning" | "used";

const stateFile = "state";
const diskFile = "disk.qcow2";
const frozenFile = "frozen.qcow2";
const emptyFile = "empty.qcow2";

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** Anything that is not understood is in use, so that nothing that was written is thrown away. */
export async function readState(place: string): Promise<DiskState> {
  const text = await readFile(join(place, stateFile), "utf8").catch(() => "");
  return text === "fresh" || text === "cloning" ? text : "used";
}

export async function writeState(place: string, state: DiskState): Promise<void> {
  if (state === "used") return await rm(join(place, stateFile), { force: true });
  const file = join(place, stateFile);
  await writeFile(`${file}.new`, state);
  await rename(`${file}.new`, file);
}

/** The disk of a machine that was saved becomes what clones stand on: read-only, also for QEMU's user. */
export async function freeze(place: string, owner: Owner | undefined): Promise<void> {
  const frozen = join(place, frozenFile);
  await rename(join(place, diskFile), frozen);
  await chmod(frozen, 0o440);
  await chown(frozen, 0, owner?.gid ?? 0);
  // By its name alone: the copy finds the frozen disk in its own directory.
  const backing = ["-F", "qcow2", "-b", frozenFile];
  await run("qemu-img", ["create", "-q", "-f", "qcow2", ...backing, join(place, emptyFile)]);
  await chmod(join(place, emptyFile), 0o600);
}

/** The disk at `place`, never booted, gives way to one that stands on the spare's. */
export async function stack(place: string, spare: string, owner: Owner | undefined): Promise<void> {
  await writeState(place, "cloning");
  await rm(join(place, frozenFile), { force: true });
  await link(join(spare, frozenFile), join(place, frozenFile));
  const disk = join(place, diskFile);
  await copyFile(join(spare, emptyFile), `${disk}.new`);
  if (owner !== undefined) await chown(`${disk}.new`, owner.uid, owner.gid);
  await rename(`${disk}.new`, disk);
}

/** Of a clone that failed; its disk is made anew by the caller. */
export async function unstack(place: string): Promise<void> {
  for (const file of [frozenFile, `${diskFile}.new`]) await rm(join(place, file), { force: true });
}
