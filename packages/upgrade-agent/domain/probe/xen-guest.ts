/**
 * The tiny guest that a probe boots on Xen: paravirtual, and of a few bytes of our own. All that it does is to ask Xen to
 * switch it off, which only a guest that runs can do; one that does not run crashes, or stays.
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { forgetXenConsole, leadXenConsole } from "../libvirt/xen-host.ts";
import { element, render } from "../xml/element.ts";
import type { Guest, GuestOptions } from "./guest.ts";

/** Virtual address of physical address 0, as Linux has it. */
const VIRTUAL_BASE = 0xffff_ffff_8000_0000n;
/** Where the file lies in the guest's memory. */
const PHYSICAL = 0x10_0000n;

const ELF_HEADER_BYTES = 64;
const PROGRAM_HEADER_BYTES = 56;

/** Of `xen/include/public/elfnote.h`. */
const NOTE = { entry: 1, virtualBase: 3, physicalOffset: 4, xenVersion: 5, guestOs: 6, loader: 8 } as const;

/**
 * mov eax,29 (sched_op) · mov edi,2 (SCHEDOP_shutdown) · lea rsi,[reason] · syscall, which is how a paravirtual kernel of
 * 64 bits calls Xen · here: jmp here · reason: 0 (SHUTDOWN_poweroff)
 */
const CODE = Buffer.from(
  "b81d000000_bf02000000_488d3504000000_0f05_ebfe_00000000".replaceAll("_", ""),
  "hex",
);

function note(type: number, value: bigint | string): Buffer {
  const text = typeof value === "string" ? Buffer.from(`${value}\0`) : Buffer.alloc(8);
  if (typeof value === "bigint") text.writeBigUInt64LE(value);
  const head = Buffer.alloc(12);
  [4, text.length, type].forEach((word, index) => head.writeUInt32LE(word, index * 4));
  return Buffer.concat([head, Buffer.from("Xen\0"), text, Buffer.alloc(-text.length & 3)]);
}

/** A program header (ELF-64, version 1.5, chapter 5): `bytes` of the file from `offset` on, read and executed. */
function programHeader(type: number, offset: number, bytes: number): Buffer {
  const header = Buffer.alloc(PROGRAM_HEADER_BYTES);
  header.writeUInt32LE(type, 0);
  header.writeUInt32LE(5, 4);
  const at = PHYSICAL + BigInt(offset);
  [BigInt(offset), VIRTUAL_BASE + at, at, BigInt(bytes), BigInt(bytes), 4n].forEach((word, index) =>
    header.writeBigUInt64LE(word, 8 + index * 8),
  );
  return header;
}

/** A kernel as Xen's domain builder wants it: an ELF file all of which is loaded, with notes that say how. */
export function tinyXenKernel(): Buffer {
  const start = ELF_HEADER_BYTES + 2 * PROGRAM_HEADER_BYTES;
  const entry = VIRTUAL_BASE + PHYSICAL + BigInt(start);
  const notes = Buffer.concat([
    note(NOTE.guestOs, "probe"),
    note(NOTE.xenVersion, "xen-3.0"),
    note(NOTE.loader, "generic"),
    note(NOTE.virtualBase, VIRTUAL_BASE),
    note(NOTE.physicalOffset, 0n),
    note(NOTE.entry, entry),
  ]);
  const code = Buffer.concat([CODE, Buffer.alloc(-CODE.length & 3)]);
  const bytes = start + code.length + notes.length;
  const header = Buffer.alloc(ELF_HEADER_BYTES);
  // 64 bits, little endian, version 1; an executable for x86-64
  header.write("7f454c46020101", "hex");
  [2, 62].forEach((word, index) => header.writeUInt16LE(word, 16 + index * 2));
  header.writeUInt32LE(1, 20);
  [entry, BigInt(ELF_HEADER_BYTES)].forEach((word, index) => header.writeBigUInt64LE(word, 24 + index * 8));
  [ELF_HEADER_BYTES, PROGRAM_HEADER_BYTES, 2].forEach((word, index) =>
    header.writeUInt16LE(word, 52 + index * 2),
  );
  const [load, noted] = [1, 4];
  const headers = [programHeader(load, 0, bytes), programHeader(noted, start + code.length, notes.length)];
  return Buffer.concat([header, ...headers, code, notes]);
}

export async function xenGuest({ directory, name }: GuestOptions): Promise<Guest> {
  const kernel = join(directory, "kernel");
  await writeFile(kernel, tinyXenKernel(), { mode: 0o644 });
  // It says nothing, but xenconsoled makes a file for it all the same.
  const consoleLog = join(directory, "console.log");
  await leadXenConsole({ name, consoleLog });
  const os = element(
    "os",
    {},
    element("type", { arch: "x86_64", machine: "xenpv" }, "linux"),
    element("kernel", {}, kernel),
  );
  const memory = element("memory", { unit: "MiB" }, "32");
  const ends = ["on_poweroff", "on_reboot", "on_crash"].map((when) => element(when, {}, "destroy"));
  const body = [element("name", {}, name), memory, element("vcpu", {}, "1"), os, ...ends];
  const xml = render(element("domain", { type: "xen" }, ...body, element("devices", {})));
  return { xml, release: () => forgetXenConsole(name) };
}
