/** What a reply is to the compare engine: a tree of plain values. A framing makes it (`Framing.comparable`). */

/**
 * Bytes are taken for JSON when they are JSON on both sides, else for text; they are only looked into when they differ.
 */
export type ComparableValue =
  | null
  | boolean
  | number
  | string
  | Uint8Array
  | readonly ComparableValue[]
  | { readonly [key: string]: ComparableValue };

/** Of bytes that are looked into, bytes; longer ones are equal or not, as a whole. */
export const PARSED_BYTES_MAX = 256 * 1024;

/** Numbers with more digits than a double holds are kept as they were written: two that differ must not become one. */
const EXACT_DIGITS = 15;

/** Undefined when the bytes are not JSON, or too long to be looked into. */
export function jsonOf(bytes: Uint8Array): { readonly value: ComparableValue } | undefined {
  if (bytes.length > PARSED_BYTES_MAX) return undefined;
  try {
    return { value: JSON.parse(Buffer.from(bytes).toString("utf8"), exactly) as ComparableValue };
  } catch {
    return undefined;
  }
}

function exactly(_key: string, value: unknown, context?: { readonly source?: string }): unknown {
  const source = context?.source;
  return typeof value === "number" && source !== undefined && source.length > EXACT_DIGITS ? source : value;
}

export function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString(isText(bytes) ? "utf8" : "base64");
}

function isText(bytes: Uint8Array): boolean {
  try {
    UTF8.decode(bytes);
    return true;
  } catch {
    return false;
  }
}

const UTF8 = new TextDecoder("utf-8", { fatal: true });

export function isList(value: ComparableValue | undefined): value is readonly ComparableValue[] {
  return Array.isArray(value);
}

export function isRecord(
  value: ComparableValue | undefined,
): value is { readonly [key: string]: ComparableValue } {
  return typeof value === "object" && value !== null && !isList(value) && !(value instanceof Uint8Array);
}
