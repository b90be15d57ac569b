/** Reads a file once and makes its torrent. */
import { createHash } from "node:crypto";
import { open } from "node:fs/promises";
import { AgentError } from "../errors.ts";
import {
  encodeTorrent,
  infohashOf,
  isTorrentName,
  pieceLengthFor,
  TORRENT_FILE_BYTES_MAX,
} from "./torrent.ts";

/**
 * The same bytes for the same file and name. `name` is 1…200 of `A-Z a-z 0-9 . _ + ~ -`.
 * Throws `E_NOT_A_RELEASE` for an empty file, `E_TOO_LARGE` above 64 GiB, `E_BAD_REQUEST` for such a name.
 */
export async function makeTorrent(
  file: string,
  name: string,
): Promise<{ readonly torrent: Uint8Array; readonly infohash: string }> {
  if (!isTorrentName(name))
    throw new AgentError("E_BAD_REQUEST", `${JSON.stringify(name)} is not a plain file name.`);
  const handle = await open(file, "r");
  try {
    const { size: length } = await handle.stat();
    if (length === 0) throw new AgentError("E_NOT_A_RELEASE", `${file} is empty; name a packed release.`);
    if (length > TORRENT_FILE_BYTES_MAX) throw new AgentError("E_TOO_LARGE", `${file} has more than 64 GiB.`);
    const pieceLength = pieceLengthFor(length);
    const piece = Buffer.allocUnsafe(pieceLength);
    const hashes: Buffer[] = [];
    for (let position = 0; position < length; position += pieceLength) {
      const wanted = Math.min(pieceLength, length - position);
      const filled = await readFully(handle, piece.subarray(0, wanted), position);
      if (filled !== wanted)
        throw new AgentError("E_RELEASE_ALTERED", `${file} shrank while it was read; try again.`);
      hashes.push(createHash("sha1").update(piece.subarray(0, wanted)).digest());
    }
    const torrent = encodeTorrent({ name, length, pieceLength, pieces: Buffer.concat(hashes) });
    return { torrent, infohash: infohashOf(torrent) };
  } finally {
    await handle.close();
  }
}

async function readFully(
  handle: Awaited<ReturnType<typeof open>>,
  into: Buffer,
  position: number,
): Promise<number> {
  let filled = 0;
  while (filled < into.byteLength) {
    const { bytesRead } = await handle.read(into, filled, into.byteLength - filled, position + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return filled;
}
