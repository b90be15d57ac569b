/** The 16-bit tag by which marks name a service. Tags collide rarely; a node refuses two services with one tag. */

const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

/**
 * Tag of a service name, 1…65535: FNV-1a (32 bit, as in draft-eastlake-fnv) over the name's UTF-8 bytes, its halves
 * folded by XOR; 0 is replaced by 1, because 0 means "no service" in the kernel's maps.
 */
export function serviceTag(name: string): number {
  let hash = FNV_OFFSET;
  for (const byte of new TextEncoder().encode(name)) {
    hash = Math.imul(hash ^ byte, FNV_PRIME) >>> 0;
  }
  const folded = (hash >>> 16) ^ (hash & 0xffff);
  return folded === 0 ? 1 : folded;
}
