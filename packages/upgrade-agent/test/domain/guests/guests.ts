/**
 * Guests that do something and tell of it on their consoles (`work.sh`), for the limits of the compliance suite: machines
 * on the kernel of our base image, containers on a busybox.
 */
import { execFileSync } from "node:child_process";
import { chownSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { DomainSpec } from "../../../domain/hypervisor.ts";
import { systemUser } from "../../../domain/libvirt/console-log.ts";
import { QEMU_USER } from "../../../domain/xml/machine.ts";
import { cpio } from "../../../image/build/cpio.ts";
import { idShift } from "../../../image/build/shift.ts";

/** Functions of `work.sh`. */
export type Task =
  "facts" | "hog" | "spin" | "mark" | "read16" | "fillup" | "flood" | "heed" | "count" | "talk";

export interface Work {
  readonly tasks: readonly Task[];
  /** What `mark` writes, at most 16 characters. */
  readonly who: string;
}

/** A kernel and its initramfs with a busybox and the drivers that are listed in `/modules/order`. */
export interface Linux {
  readonly kernel: string;
  readonly initramfs: string;
}

const sources = import.meta.dirname;
const workScript = readFileSync(join(sources, "work.sh"));

/** Makes the initramfs of working machines out of that of our base: later files of an initramfs replace earlier ones. */
export function workingInitramfs(linux: Linux, file: string): void {
  const init = readFileSync(join(sources, "machine-init.sh"));
  const ours = cpio([
    { kind: "file", path: "init", mode: 0o755, contents: init },
    { kind: "file", path: "work.sh", mode: 0o644, contents: workScript },
  ]);
  writeFileSync(file, Buffer.concat([readFileSync(linux.initramfs), ours]));
}

/** What the base says where `mark` looks, before anybody wrote there. */
export const BASE_MARK = "base of all";

/** An overlay on the base disk of working machines, which is made when it is not there. */
export async function workingDisk(home: string, name: string, diskMiB: number): Promise<string> {
  const base = join(home, "work-base.qcow2");
  if (!existsSync(base)) {
    const raw = join(home, "work-base.raw");
    writeFileSync(raw, BASE_MARK.padEnd(4096, "\0"));
    execFileSync("qemu-img", ["convert", "-f", "raw", "-O", "qcow2", raw, base]);
  }
  return await overlayOn(home, name, base, `${diskMiB}M`);
}

/** QEMU's; as large as what it lies on unless `size` says otherwise. */
export async function overlayOn(
  home: string,
  name: string,
  below: string,
  ...size: readonly string[]
): Promise<string> {
  const path = join(home, `${name}.qcow2`);
  execFileSync("qemu-img", ["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", below, path, ...size]);
  const { uid, gid } = await systemUser(QEMU_USER);
  chownSync(path, uid, gid);
  return path;
}

/** Words that tell a working machine what to do. */
export function workWords({ tasks, who }: Work): string[] {
  return [`vmtest.tasks=${tasks.join(",")}`, `vmtest.who=${who}`];
}

function give(path: string, contents: string | Uint8Array, mode = 0o644): void {
  writeFileSync(path, contents, { mode });
  chownSync(path, idShift, idShift);
}

/** Makes the directory that all working containers share. */
export function workingRoot(root: string): void {
  for (const path of ["", "bin", "sbin", "dev", "proc", "sys", "tmp", "var", "var/log"]) {
    mkdirSync(join(root, path));
    chownSync(join(root, path), idShift, idShift);
  }
  give(join(root, "bin/busybox"), readFileSync("/bin/busybox"), 0o755);
  give(join(root, "sbin/vm-init"), readFileSync(join(sources, "container-init.sh")), 0o755);
  give(join(root, "work.sh"), workScript);
  give(join(root, "mark"), BASE_MARK);
}

/** Makes the directories of one container's overlay in `store`, with its work in them. */
export function workingUpper(store: string, { tasks, who }: Work): void {
  for (const path of ["upper", "work"]) {
    mkdirSync(join(store, path));
    chownSync(join(store, path), idShift, idShift);
  }
  give(join(store, "upper/tasks"), tasks.join(" "));
  give(join(store, "upper/who"), who);
}

/** What the guest said after `word`, once per time that it did. */
export function told(spec: Pick<DomainSpec, "consoleLog">, word: string): string[] {
  const console = existsSync(spec.consoleLog) ? readFileSync(spec.consoleLog, "latin1") : "";
  return console
    .split(/\r?\n/)
    .filter((line) => line.startsWith(`vmtest ${word} `) || line === `vmtest ${word}`)
    .map((line) => line.slice(`vmtest ${word} `.length).trim());
}
