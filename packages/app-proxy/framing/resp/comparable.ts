/** RESP replies as they are compared between versions. */
import type { ComparableValue } from "../../compare/value.ts";
import type { RespRequest } from "./readers.ts";
import { respDecode, RespError, type RespValue } from "./values.ts";

export function comparableResp(reply: Uint8Array): ComparableValue {
  return valueOf(respDecode(reply));
}

/** The command and its first key; values may be secret. */
export function describeResp({ words }: RespRequest): string {
  return words
    .slice(0, 2)
    .map((word) => word.toString("utf8"))
    .join(" ");
}

function valueOf(value: RespValue): ComparableValue {
  if (value instanceof RespError) return { error: value.text };
  if (typeof value === "bigint") return String(value);
  if (typeof value !== "object" || value === null || Buffer.isBuffer(value)) return value;
  if (value instanceof Map) {
    return Object.fromEntries([...value].map(([key, inner]) => [keyOf(key), valueOf(inner)]));
  }
  // A set has no order, so none is compared.
  if (value instanceof Set) {
    return [...value].map(keyOf).sort();
  }
  return value.map(valueOf);
}

function keyOf(value: RespValue): string {
  if (Buffer.isBuffer(value)) return value.toString("utf8");
  return typeof value === "string" ? value : JSON.stringify(valueOf(value));
}
