/** Addresses of both families as text and as the 16 bytes that the kernel's tables hold: IPv4 as ::ffff:a.b.c.d. Pure. */

const ADDRESS_BYTES = 16;
const GROUPS = 8;
const MAPPED_PREFIX = Buffer.from("00000000000000000000ffff", "hex");

/** Throws RangeError when it is neither. A zone (`%eth0`) has no place here. */
export function parseIp(text: string): Buffer {
  const bytes = text.includes(":") ? parseIpv6(text) : parseIpv4(text);
  if (bytes === undefined) throw new RangeError(`"${text}" is no IP address`);
  return bytes;
}

/** Dotted where it stands for IPv4, else in the form of RFC 5952. */
export function formatIp(bytes: Uint8Array): string {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, ADDRESS_BYTES);
  if (buffer.compare(MAPPED_PREFIX, 0, 12, 0, 12) === 0) return buffer.subarray(12).join(".");
  const groups = Array.from({ length: GROUPS }, (_, at) => buffer.readUInt16BE(2 * at).toString(16));
  const { from, length } = longestZeros(groups);
  if (length < 2) return groups.join(":");
  return `${groups.slice(0, from).join(":")}::${groups.slice(from + length).join(":")}`;
}

/** One text for one address. Throws RangeError. */
export function canonicalIp(text: string): string {
  return formatIp(parseIp(text));
}

export function isIpv6(text: string): boolean {
  return text.includes(":");
}

/**
 * True for what another machine can be reached at: not ::/64 (unspecified, loopback, IPv4 in disguise), not of one link
 * (fe80::/10), not multicast (ff00::/8).
 */
export function isGlobalIpv6(text: string): boolean {
  const bytes = isIpv6(text) ? parseIpv6(text) : undefined;
  if (bytes === undefined || bytes.readBigUInt64BE(0) === 0n) return false;
  const start = bytes.readUInt16BE(0);
  return (start & 0xffc0) !== 0xfe80 && start < 0xff00;
}

function parseIpv4(text: string): Buffer | undefined {
  const parts = text.split(".");
  if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) < 256))
    return undefined;
  return Buffer.concat([MAPPED_PREFIX, Uint8Array.from(parts, Number)]);
}

function parseIpv6(text: string): Buffer | undefined {
  const [head = "", tail, ...more] = text.split("::");
  const before = groupsOf(head, tail === undefined);
  const after = groupsOf(tail ?? "", true);
  if (before === undefined || after === undefined || more.length > 0) return undefined;
  const missing = GROUPS - before.length - after.length;
  if (tail === undefined ? missing !== 0 : missing < 1) return undefined;
  const bytes = Buffer.alloc(ADDRESS_BYTES);
  const groups = [...before, ...Array.from({ length: missing }, () => 0), ...after];
  for (const [at, group] of groups.entries()) bytes.writeUInt16BE(group, 2 * at);
  return bytes;
}

/** The last two groups of an address may be written as an IPv4 address. */
function groupsOf(text: string, isLast: boolean): readonly number[] | undefined {
  if (text === "") return [];
  const groups: number[] = [];
  const words = text.split(":");
  for (const [at, word] of words.entries()) {
    const dotted = isLast && at === words.length - 1 && word.includes(".") ? parseIpv4(word) : undefined;
    if (dotted !== undefined) groups.push(dotted.readUInt16BE(12), dotted.readUInt16BE(14));
    else if (/^[\da-f]{1,4}$/i.test(word)) groups.push(Number.parseInt(word, 16));
    else return undefined;
  }
  return groups;
}

function longestZeros(groups: readonly string[]): { readonly from: number; readonly length: number } {
  let best = { from: 0, length: 0 };
  for (let from = 0; from < groups.length; from += 1) {
    let length = 0;
    while (groups[from + length] === "0") length += 1;
    if (length > best.length) best = { from, length };
  }
  return best;
}
