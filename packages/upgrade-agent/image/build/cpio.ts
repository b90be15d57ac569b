/**
 * Writing an initramfs: a cpio archive in the "newc" format (Linux, Documentation/driver-api/early-userspace/
 * buffer-format.rst). Pure.
 *
 *     070701 INO MODE UID GID NLINK MTIME SIZE MAJ MIN RMAJ RMIN NAMESIZE CHECK  (each 8 hex digits)
 *     name NUL, padded to 4 bytes; contents, padded to 4 bytes
 */

export type CpioEntry =
  | { readonly kind: "file"; readonly path: string; readonly mode: number; readonly contents: Uint8Array }
  | { readonly kind: "directory"; readonly path: string; readonly mode: number }
  | {
      readonly kind: "character";
      readonly path: string;
      readonly mode: number;
      readonly major: number;
      readonly minor: number;
    };

const typeBits = { file: 0o100000, directory: 0o040000, character: 0o020000 } as const;

/** The archive of these entries, parents before children, owned by root, without times. */
export function cpio(entries: readonly CpioEntry[]): Buffer {
  const end: CpioEntry = { kind: "file", path: "TRAILER!!!", mode: 0, contents: new Uint8Array() };
  return Buffer.concat([...entries, end].map((entry, index) => record(entry, index + 1)));
}

function record(entry: CpioEntry, inode: number): Buffer {
  const contents = entry.kind === "file" ? entry.contents : new Uint8Array();
  const [major, minor] = entry.kind === "character" ? [entry.major, entry.minor] : [0, 0];
  const mode = entry.path === "TRAILER!!!" ? 0 : typeBits[entry.kind] | entry.mode;
  const name = Buffer.from(`${entry.path}\0`);
  const links = entry.kind === "directory" ? 2 : 1;
  const numbers = [inode, mode, 0, 0, links, 0, contents.length, 0, 0, major, minor, name.length, 0];
  const header = `070701${numbers.map((number) => number.toString(16).padStart(8, "0")).join("")}`;
  return Buffer.concat([padded(Buffer.concat([Buffer.from(header), name])), padded(contents)]);
}

function padded(bytes: Uint8Array): Buffer {
  return Buffer.concat([bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)]);
}
