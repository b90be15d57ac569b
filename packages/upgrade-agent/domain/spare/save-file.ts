/**
 * The head of a file that libvirt's QEMU driver saves a machine into (qemu_saveimage.h, version 2, little-endian on the
 * machines that we run on), and how it is made another domain's. Pure.
 *
 *   0    "LibvirtQemudSave"; "LibvirtQemudPart" while it is being written
 *   16   version: 2
 *   20   N, bytes of what follows the head: XML, zero, cookie, zeros up to a whole block
 *   24   1 when the machine ran
 *   28   0: the rest is not compressed
 *   32   where the cookie begins in those N bytes; 0: there is none
 *   36   56 bytes that are not used
 *   92   the domain's XML, closed by a zero; the cookie, closed by a zero
 *   92+N the memory and the devices, as QEMU writes them
 */
import { AgentError } from "../../errors.ts";

export const HEAD_BYTES = 92;

/** libvirt writes some 100 KiB at most; more than this is no head. */
export const DATA_BYTES_MAX = 16 * 1024 ** 2;

const MAGIC = "LibvirtQemudSave";
const VERSION = 2;
const AT = { version: 16, dataBytes: 20, compression: 28, cookie: 32 } as const;

export interface SaveHead {
  /** Bytes between the head and the memory. */
  readonly dataBytes: number;
  /** Where the cookie begins in them; 0 when there is none. */
  readonly cookieAt: number;
}

/** Throws E_DOMAIN when it is not the head of a finished, uncompressed save file. */
export function readHead(bytes: Buffer): SaveHead {
  if (bytes.length < HEAD_BYTES) throw unusable("it is too short");
  if (bytes.toString("latin1", 0, MAGIC.length) !== MAGIC) throw unusable("it does not begin as one");
  if (bytes.readUInt32LE(AT.version) !== VERSION) throw unusable("its format is another");
  if (bytes.readUInt32LE(AT.compression) !== 0) throw unusable("it is compressed");
  const dataBytes = bytes.readUInt32LE(AT.dataBytes);
  const cookieAt = bytes.readUInt32LE(AT.cookie);
  if (dataBytes > DATA_BYTES_MAX || cookieAt >= dataBytes) throw unusable("its sizes cannot be");
  return { dataBytes, cookieAt };
}

/**
 * The first bytes of the file, head and data, for another domain: `xml` in place of the one that is there, the cookie
 * kept, the length unchanged. Throws E_DOMAIN, also when the XML is too long for the place.
 */
export function rewriteHead(bytes: Buffer, xml: string): Buffer {
  const { dataBytes, cookieAt } = readHead(bytes);
  const whole = HEAD_BYTES + dataBytes;
  if (bytes.length < whole) throw unusable("it is too short");
  if (xml.includes("\0")) throw unusable("a description must not contain a zero");
  const cookie = cookieAt === 0 ? Buffer.alloc(0) : cookieOf(bytes.subarray(HEAD_BYTES + cookieAt, whole));
  const text = Buffer.from(`${xml}\0`, "utf8");
  if (text.length + cookie.length > dataBytes) throw unusable("the new description is too long");
  const out = Buffer.alloc(whole);
  bytes.copy(out, 0, 0, HEAD_BYTES);
  text.copy(out, HEAD_BYTES);
  cookie.copy(out, HEAD_BYTES + text.length);
  out.writeUInt32LE(cookie.length === 0 ? 0 : text.length, AT.cookie);
  return out;
}

/** With its closing zero. */
function cookieOf(data: Buffer): Buffer {
  const end = data.indexOf(0);
  if (end === -1) throw unusable("its cookie has no end");
  return data.subarray(0, end + 1);
}

function unusable(why: string): AgentError {
  return new AgentError("E_DOMAIN", `The saved machine cannot be used: ${why}; it is made again.`);
}
