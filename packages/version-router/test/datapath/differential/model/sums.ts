/**
 * One's-complement arithmetic (RFC 1071, 1624), in the plainest form: numbers modulo 65535. Such a sum is 0 only when
 * every addend is; any other multiple of 65535 is written 0xffff. Byte order does not matter (RFC 1071, 2 B).
 */

export function fold(total: number): number {
  return total === 0 ? 0 : ((total - 1) % 0xffff) + 1;
}

/** Total, not folded, of the 16-bit words of frame[from, to); an odd last byte is followed by a zero. */
export function total(frame: Buffer, from: number, to: number): number {
  let words = 0;
  for (let at = from; at < to; at += 2)
    words += ((frame[at] ?? 0) << 8) | (at + 1 < to ? (frame[at + 1] ?? 0) : 0);
  return words;
}

export function wordsOf(value: number): number {
  return (value >>> 16) + (value & 0xffff);
}

/** The checksum field after some words that it covers were replaced; both given as totals. */
export function adjust(check: number, removed: number, added: number): number {
  // 65535 stands for 0: so the outcome is what it would be with a non-zero sum, which a header's always is.
  return 0xffff - fold(0xffff - check + (0xffff - (removed % 0xffff)) + added + 0xffff);
}

/** `x` with 2x ≡ value (mod 65535), 1…65535. */
export function halved(value: number): number {
  const even = value % 2 === 0 ? value : value + 0xffff;
  return fold(even / 2 + 0xffff);
}

/** The residue of a possibly negative number, 1…65535. */
export function residue(value: number): number {
  return fold((((value % 0xffff) + 0xffff) % 0xffff) + 0xffff);
}
