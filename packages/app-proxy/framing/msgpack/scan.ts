/**
 * Where a MessagePack value ends. A scan of our own and not a decoder's stream, because a proxy must pass on the very
 * bytes (widths of numbers, extension types and doubled map keys do not survive decoding), must keep its place in a
 * buffer that others consume, and must not believe what a length claims.
 */
import type { PeekBuffer } from "../../buffer/peek-buffer.ts";
import type { RefusedStatus } from "../contract.ts";

export type MsgpackScanned =
  | { readonly kind: "incomplete" }
  /** `items`: where the members of an outermost array end; empty for other values. */
  | {
      readonly kind: "complete";
      readonly end: number;
      readonly items: readonly number[];
      readonly start: number;
    }
  | { readonly kind: "refused"; readonly status: RefusedStatus; readonly why: string };

/** Bytes behind the type byte that say a length, by type byte; and bytes that follow besides (an extension's type). */
const LENGTHS: Readonly<Record<number, readonly [sizeBytes: 1 | 2 | 4, more: number]>> = {
  0xc4: [1, 0],
  0xc5: [2, 0],
  0xc6: [4, 0],
  0xc7: [1, 1],
  0xc8: [2, 1],
  0xc9: [4, 1],
  0xd9: [1, 0],
  0xda: [2, 0],
  0xdb: [4, 0],
};
/** Bytes behind the type byte of the values 0xca … 0xd8 whose length is fixed. */
const FIXED = [4, 8, 1, 2, 4, 8, 1, 2, 4, 8, 2, 3, 5, 9, 17];
/** Items that are noted; who looks at the parts of a message wants the first few. */
const ITEMS_MAX = 16;

/** What a type byte and the length behind it say. */
interface Head {
  /** Bytes of the head and of what is not made of values. */
  readonly bytes: number;
  /** Values that follow. */
  readonly values: number;
}

export class MsgpackScan {
  readonly #bytesMax: number;
  #position = 0;
  /** Values that are still to come. */
  #left = 1;
  #start = 0;
  #items: number[] = [];
  /** Members of the outermost array that are still to come; -1: the outermost value is none. */
  #members = -1;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** The buffer must begin with the same bytes as at the last call. */
  advance(buffer: PeekBuffer): MsgpackScanned {
    const base = this.#position;
    const fresh = buffer.bytes(base);
    while (this.#left > 0) {
      const head = headAt(fresh, this.#position - base);
      if (head === "incomplete") return INCOMPLETE;
      if (head === "malformed") return { kind: "refused", status: "malformed", why: "0xc1 is no type" };
      const end = this.#position + head.bytes;
      // Every value to come has a byte at least.
      if (end + this.#left - 1 + head.values > this.#bytesMax) {
        return {
          kind: "refused",
          status: "too-large",
          why: `the message is longer than ${this.#bytesMax} bytes`,
        };
      }
      this.#take(head, end, fresh[this.#position - base] as number);
    }
    // The last value's bytes may be still on their way.
    if (this.#position > buffer.length) return INCOMPLETE;
    return { kind: "complete", end: this.#position, items: this.#items, start: this.#start };
  }

  #take({ values }: Head, end: number, type: number): void {
    if (this.#position === 0) {
      this.#start = end;
      if (isArray(type)) this.#members = values;
    }
    this.#position = end;
    this.#left += values - 1;
    // A member is over when only the members behind it are to come.
    if (this.#members > 0 && this.#left === this.#members - 1) {
      this.#members -= 1;
      if (this.#items.length < ITEMS_MAX) this.#items.push(end);
    }
  }
}

const INCOMPLETE: MsgpackScanned = { kind: "incomplete" };

function isArray(type: number): boolean {
  return (type >= 0x90 && type <= 0x9f) || type === 0xdc || type === 0xdd;
}

function headAt(bytes: Buffer, position: number): Head | "incomplete" | "malformed" {
  const type = bytes[position];
  if (type === undefined) return "incomplete";
  if (type <= 0x7f || type >= 0xe0 || type === 0xc0 || type === 0xc2 || type === 0xc3)
    return { bytes: 1, values: 0 };
  if (type <= 0x8f) return { bytes: 1, values: 2 * (type & 0x0f) };
  if (type <= 0x9f) return { bytes: 1, values: type & 0x0f };
  if (type <= 0xbf) return { bytes: 1 + (type & 0x1f), values: 0 };
  if (type === 0xc1) return "malformed";
  const sized = LENGTHS[type];
  if (sized !== undefined) {
    const [sizeBytes, more] = sized;
    if (bytes.length < position + 1 + sizeBytes) return "incomplete";
    return { bytes: 1 + sizeBytes + more + bytes.readUIntBE(position + 1, sizeBytes), values: 0 };
  }
  if (type <= 0xd8) return { bytes: 1 + (FIXED[type - 0xca] as number), values: 0 };
  const sizeBytes = type % 2 === 0 ? 2 : 4;
  if (bytes.length < position + 1 + sizeBytes) return "incomplete";
  const count = bytes.readUIntBE(position + 1, sizeBytes);
  return { bytes: 1 + sizeBytes, values: type >= 0xde ? 2 * count : count };
}
