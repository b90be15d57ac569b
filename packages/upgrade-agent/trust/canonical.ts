/**
 * One text per value, so that what is signed does not depend on who printed it: RFC 8785 (JCS) narrowed to the values
 * that statements hold. No fractions, no numbers beyond 2⁵³−1, no lone surrogates: each is refused, never rounded.
 */

/** Levels of arrays and objects. A statement has five. */
const DEPTH_MAX = 32;

/** Throws `TypeError` for whatever has no canonical form. */
export function canonicalJson(value: unknown): string {
  return write(value, 0);
}

function write(value: unknown, depth: number): string {
  if (depth > DEPTH_MAX) throw new TypeError(`nested deeper than ${DEPTH_MAX} levels`);
  switch (typeof value) {
    case "string":
      return writeString(value);
    case "boolean":
      return value ? "true" : "false";
    case "number":
      if (!Number.isSafeInteger(value)) throw new TypeError(`${value} is not an integer below 2^53`);
      // RFC 8785 prints -0 as 0; String does so too.
      return String(value);
    case "object":
      if (value === null) return "null";
      if (Array.isArray(value)) return `[${Array.from(value, (item) => write(item, depth + 1)).join(",")}]`;
      return writeObject(value, depth);
    default:
      throw new TypeError(`a ${typeof value} has no place in JSON`);
  }
}

function writeObject(value: object, depth: number): string {
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null)
    throw new TypeError("only plain objects are allowed");
  // The default order of sort() is by UTF-16 code units, which is what RFC 8785 section 3.2.3 asks for.
  const members = Object.entries(value)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, item]) => `${writeString(key)}:${write(item, depth + 1)}`);
  return `{${members.join(",")}}`;
}

function writeString(value: string): string {
  if (!value.isWellFormed()) throw new TypeError("text with half of a surrogate pair");
  // ECMAScript's own escapes are those of RFC 8785 section 3.2.2.2.
  return JSON.stringify(value);
}
