/**
 * Gives a root directory to the user namespace of a container: whoever owns a file as N owns it as N + 100000
 * afterwards, which the container sees as N again.
 */
import { chmod, lchown, lstat, readdir } from "node:fs/promises";
import { join } from "node:path";

/** First uid and gid of containers on the host, and how many they have: `<idmap>` of libvirt. */
export const idShift = 100_000;
export const idCount = 65_536;

const setIdBits = 0o6000;

/** Shifting again changes nothing. Answers the bytes that the tree takes. File capabilities are lost. */
export async function shiftOwners(path: string): Promise<number> {
  const stats = await lstat(path);
  if (stats.uid < idShift) {
    await lchown(path, stats.uid + idShift, stats.gid + idShift);
    // Changing the owner takes away the set-user-ID and set-group-ID bits.
    if (stats.isFile() && (stats.mode & setIdBits) !== 0) await chmod(path, stats.mode & 0o7777);
  }
  if (!stats.isDirectory()) return stats.blocks * 512;
  const names = await readdir(path);
  const sizes = await Promise.all(names.map((name) => shiftOwners(join(path, name))));
  return sizes.reduce((sum, bytes) => sum + bytes, stats.blocks * 512);
}
