/**
 * The tiny guests that a probe boots. Each writes `HELLO` to its console and then idles; one of Xen, whose console takes
 * more than a few bytes of code, switches itself off instead (`xen-guest.ts`). A machine is one of two: with
 * a kernel at hand, that kernel with a static busybox, which proves that user space runs; without one, a few bytes of
 * our own in the kernel's place.
 */
import { chmod, chown, copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { cpio } from "../../image/build/cpio.ts";
import type { CpioEntry } from "../../image/build/cpio.ts";
import { idShift } from "../../image/build/shift.ts";
import { systemUser } from "../libvirt/console-log.ts";
import { containerParts } from "../xml/container.ts";
import { element, render } from "../xml/element.ts";
import { QEMU_USER, unprivileged } from "../xml/machine.ts";

/** What a guest says when it runs. */
export const HELLO = "version-manager-probe: hello";

const BUSYBOX = "/bin/busybox";

const INIT = `#!/bin/busybox sh
echo "${HELLO}"
while :; do busybox sleep 60; done
`;

/** A guest with its files in `directory`; `xml` is for a domain of that name and type. */
export interface Guest {
  readonly xml: string;
  /** Where it says hello; undefined when it switches itself off instead. */
  readonly consoleLog?: string;
  /** Takes away what it has outside of its directory. */
  readonly release?: () => Promise<void>;
}

export interface GuestOptions {
  /** Private to the guest, and gone with it. */
  readonly directory: string;
  readonly name: string;
  /** Linux kernel that the hypervisor's user may read. */
  readonly kernel?: string;
}

/**
 * An image after the Multiboot specification (0.6.96, section 3.1), which QEMU boots as a kernel:
 *
 *   0    magic, flags (bit 16: the addresses below count), checksum
 *   12   addresses of: header, first byte, end (0: of the file), end of bss (0: none), entry
 *   32   cli · mov edx,0x3f8 · mov esi,text · cld
 *        next: lodsb · test al,al · jz idle · out dx,al · jmp next
 *        idle: hlt · jmp idle
 *   55   text, for the first serial port
 */
export function tinyKernel(): Buffer {
  const [at, magic, flags] = [0x10_0000, 0x1bad_b002, 0x1_0000];
  const header = [magic, flags, 2 ** 32 - magic - flags, at, at, 0, 0, at + 32];
  const words = Buffer.alloc(32);
  header.forEach((word, index) => words.writeUInt32LE(word, index * 4));
  const code = Buffer.from(
    "faba_f8030000_be_37001000_fc_ac_84c0_7403_ee_ebf8_f4_ebfd".replaceAll("_", ""),
    "hex",
  );
  return Buffer.concat([words, code, Buffer.from(`${HELLO}\r\n\0`)]);
}

export async function machineGuest(type: "kvm" | "qemu", options: GuestOptions): Promise<Guest> {
  const consoleLog = join(options.directory, "console.log");
  await writeFile(consoleLog, "");
  const owner = await systemUser(QEMU_USER);
  await chown(consoleLog, owner.uid, owner.gid);
  const kernel = options.kernel ?? join(options.directory, "kernel");
  const initramfs = join(options.directory, "initramfs");
  if (options.kernel === undefined) await writeFile(kernel, tinyKernel(), { mode: 0o644 });
  else await writeFile(initramfs, await initramfsWithBusybox(), { mode: 0o644 });
  const os = element(
    "os",
    {},
    element("type", { arch: "x86_64", machine: "pc" }, "hvm"),
    element("kernel", {}, kernel),
    options.kernel === undefined ? undefined : element("initrd", {}, initramfs),
    element("cmdline", {}, "console=ttyS0 quiet panic=-1 no_timer_check mitigations=off"),
  );
  const xml = render(
    element(
      "domain",
      { type },
      element("name", {}, options.name),
      element("memory", { unit: "MiB" }, "128"),
      element("vcpu", {}, "1"),
      os,
      element("features", {}, element("acpi"), element("apic")),
      element("on_reboot", {}, "destroy"),
      element(
        "devices",
        {},
        element("controller", { type: "usb", model: "none" }),
        element("serial", { type: "file" }, element("source", { path: consoleLog, append: "on" })),
        element("memballoon", { model: "none" }),
      ),
      unprivileged(),
    ),
  );
  return { xml, consoleLog };
}

async function initramfsWithBusybox(): Promise<Buffer> {
  const entries: CpioEntry[] = [
    { kind: "directory", path: "bin", mode: 0o755 },
    { kind: "directory", path: "dev", mode: 0o755 },
    { kind: "character", path: "dev/console", mode: 0o600, major: 5, minor: 1 },
    { kind: "file", path: "bin/busybox", mode: 0o755, contents: await readFile(BUSYBOX) },
    { kind: "file", path: "init", mode: 0o755, contents: Buffer.from(INIT) },
  ];
  return cpio(entries);
}

/** With a user namespace, as all our containers have. */
export async function containerGuest({ directory, name }: GuestOptions): Promise<Guest> {
  const consoleLog = join(directory, "console.log");
  const root = join(directory, "root");
  await writeFile(consoleLog, "");
  for (const path of ["", "bin", "dev", "proc", "sys", "var", "var/log"]) {
    await mkdir(join(root, path));
    await chown(join(root, path), idShift, idShift);
  }
  await copyFile(BUSYBOX, join(root, "bin/busybox"));
  await chmod(join(root, "bin/busybox"), 0o755);
  await writeFile(join(root, "init"), INIT, { mode: 0o755 });
  for (const file of [consoleLog, join(root, "bin/busybox"), join(root, "init")])
    await chown(file, idShift, idShift);
  const tools = { busybox: BUSYBOX, init: "/init" };
  const parts = containerParts({ root, consoleLog, tools, environment: [], devices: [] });
  const memory = element("memory", { unit: "MiB" }, "64");
  const body = [element("name", {}, name), memory, element("vcpu", {}, "1"), ...parts];
  return { xml: render(element("domain", { type: "lxc" }, ...body)), consoleLog };
}
