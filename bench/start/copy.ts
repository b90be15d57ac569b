/** The paper's way to a private disk: a copy of the whole image. */
import { execFile } from "node:child_process";
import { mkdir, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import type { DomainDisk } from "@version-manager/upgrade-agent";

const run = promisify(execFile);
/** Whom Debian's libvirt runs QEMU as. */
const QEMU_USER = "libvirt-qemu";

export interface CopySource {
  readonly disk: string;
  readonly kernel: string;
  readonly initramfs: string;
}

/** Every byte is copied, also where the file system could share blocks. */
export async function copyDisk(
  { disk, kernel, initramfs }: CopySource,
  directory: string,
  name: string,
): Promise<DomainDisk> {
  const path = placeOf(directory, name);
  await mkdir(dirname(path), { recursive: true });
  await run("cp", ["--reflink=never", "--sparse=never", disk, path]);
  await run("chown", [`${QEMU_USER}:${QEMU_USER}`, path]);
  await run("chmod", ["600", path]);
  return { kind: "qcow2", path, kernel, initramfs };
}

/** An absent copy is fine. */
export async function removeCopy(directory: string, name: string): Promise<void> {
  await rm(placeOf(directory, name), { force: true });
}

function placeOf(directory: string, name: string): string {
  return join(directory, "copies", `${name}.qcow2`);
}
