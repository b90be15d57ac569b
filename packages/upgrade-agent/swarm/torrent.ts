/**
 * The `.torrent` of one file: codec of BEP 3's metainfo, in the single spelling that we write and take.
 *
 *   d 4:info d 6:length i LENGTH e  4:name N:NAME  12:piece length i PIECE e  6:pieces M:SHA1… e e
 *
 * Nothing but the info dictionary: no date, no author, no trackers, no web seeds. So a file and a name give the same
 * bytes everywhere, and a torrent from a stranger cannot send a node to addresses of his choice.
 */
import { createHash } from "node:crypto";
import { AgentError } from "../errors.ts";

/** Bytes of a file; in pieces of 8 MiB, 64 GiB make a torrent well below the cap. */
export const TORRENT_FILE_BYTES_MAX = 64 * 1024 ** 3;
/** Bytes of a `.torrent`. */
export const TORRENT_BYTES_MAX = 256 * 1024;

const PIECE_BYTES_MIN = 256 * 1024;
const PIECE_BYTES_MAX = 8 * 1024 * 1024;
/**
 * Pieces grow with the file to keep to this number. webtorrent's choice of the rarest piece takes time by its square:
 * 100 MiB in 400 pieces came at 18 MiB/s over loopback, in 200 pieces at 51.
 */
const PIECES_WANTED_MAX = 256;
const SHA1_BYTES = 20;
const NAME_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._+~-]{0,199}$/;
const FORM =
  /^d4:infod6:lengthi([1-9][0-9]{0,14})e4:name[1-9][0-9]{0,2}:([\x20-\x7e]{1,200}?)12:piece lengthi([1-9][0-9]{0,7})e6:pieces([1-9][0-9]{0,6}):/;

export interface Torrent {
  readonly name: string;
  /** Bytes of the file. */
  readonly length: number;
  readonly pieceLength: number;
  /** SHA-1 of each piece, 20 bytes each. */
  readonly pieces: Uint8Array;
}

/** Bytes of a piece, decided by the size of the file alone. */
export function pieceLengthFor(length: number): number {
  let pieceLength = PIECE_BYTES_MIN;
  while (pieceLength < PIECE_BYTES_MAX && length / pieceLength > PIECES_WANTED_MAX) pieceLength *= 2;
  return pieceLength;
}

export function isTorrentName(name: string): boolean {
  return NAME_PATTERN.test(name);
}

export function encodeTorrent({ name, length, pieceLength, pieces }: Torrent): Uint8Array {
  const head = `d4:infod6:lengthi${length}e4:name${name.length}:${name}12:piece lengthi${pieceLength}e`;
  return Buffer.concat([
    Buffer.from(`${head}6:pieces${pieces.byteLength}:`, "latin1"),
    pieces,
    Buffer.from("ee"),
  ]);
}

/** Throws `E_TORRENT_MISMATCH` for everything that `encodeTorrent` would not have written. */
export function decodeTorrent(bytes: Uint8Array): Torrent {
  if (bytes.byteLength > TORRENT_BYTES_MAX) throw refused(`it has more than ${TORRENT_BYTES_MAX} bytes`);
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const match = FORM.exec(buffer.toString("latin1", 0, 512));
  if (match === null) throw refused("it is not a torrent of one file as Version Manager makes them");
  const [head, lengthText, name = "", pieceLengthText, piecesText] = match;
  const length = Number(lengthText);
  const torrent = {
    name,
    length,
    pieceLength: Number(pieceLengthText),
    pieces: Uint8Array.from(buffer.subarray(head.length, head.length + Number(piecesText))),
  };
  if (!isTorrentName(name)) throw refused("the name in it is not a plain file name");
  if (length > TORRENT_FILE_BYTES_MAX)
    throw refused(`its file has more than ${TORRENT_FILE_BYTES_MAX} bytes`);
  if (torrent.pieceLength !== pieceLengthFor(length))
    throw refused("its pieces are not of the size for its file");
  if (torrent.pieces.byteLength !== Math.ceil(length / torrent.pieceLength) * SHA1_BYTES) {
    throw refused("it does not have one hash for each piece");
  }
  if (!buffer.equals(encodeTorrent(torrent))) throw refused("it holds more than it should");
  return torrent;
}

/** BitTorrent v1 infohash: SHA-1 over the info dictionary as spelled in the torrent. 40 hex digits. */
export function infohashOf(torrent: Uint8Array): string {
  const info = torrent.subarray("d4:info".length, torrent.byteLength - 1);
  return createHash("sha1").update(info).digest("hex");
}

/** Decodes, and throws `E_TORRENT_MISMATCH` unless it is the torrent of `infohash`. */
export function checkTorrent(bytes: Uint8Array, infohash: string): Torrent {
  const torrent = decodeTorrent(bytes);
  const found = infohashOf(bytes);
  if (found !== infohash) throw refused(`it is the one of ${found}, not of ${infohash}`);
  return torrent;
}

function refused(why: string): AgentError {
  return new AgentError("E_TORRENT_MISMATCH", `The torrent is refused: ${why}; fetch it from another node.`);
}
