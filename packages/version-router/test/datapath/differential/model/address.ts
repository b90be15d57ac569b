/** Addresses as the kernel's tables have them: 32 hex digits, IPv4 as ::ffff:a.b.c.d. */

const MAPPED = "00000000000000000000ffff";

/** `at` is the first of `bytes` bytes, 4 or 16. */
export function addressAt(frame: Buffer, at: number, bytes: number): string {
  const hex = frame.toString("hex", at, at + bytes);
  return bytes === 4 ? MAPPED + hex : hex;
}

export function mapped(address: number): string {
  return MAPPED + address.toString(16).padStart(8, "0");
}

/** The four bytes of an IPv4 address, or all sixteen. */
export function bytesOf(address: string, isV6: boolean): Buffer {
  return Buffer.from(isV6 ? address : address.slice(24), "hex");
}

export function isMapped(address: string): boolean {
  return address.startsWith(MAPPED);
}

/** ::/64: unspecified, loopback, those that stand for IPv4. */
export function isReserved6(address: string): boolean {
  return address.startsWith("0000000000000000");
}

/** fe80::/10 */
export function isLinkLocal6(address: string): boolean {
  return /^fe[89ab]/.test(address);
}

export function isMulticast6(address: string): boolean {
  return address.startsWith("ff");
}

export function isManagement6(address: string): boolean {
  return address.startsWith("fd5652aa6f3d0001");
}

/** 169.254/16 */
export function isLinkLocal4(address: string): boolean {
  return address.startsWith("a9fe", 24);
}

/** 0/8, 127/8, 169.254/16, multicast, broadcast. */
export function isPrivate4(address: string): boolean {
  const first = Number.parseInt(address.slice(24, 26), 16);
  return first === 0 || first === 127 || first >= 224 || isLinkLocal4(address);
}
