/**
 * Where a RESP value ends (the Redis protocol, versions 2 and 3). Looks at every byte once, keeps its place between
 * calls, and allocates nothing by what a length claims.
 *
 *     +text\r\n   -error\r\n   :integer\r\n   ,double\r\n   (big number\r\n   #t\r\n   _\r\n
 *     $bytes\r\n…\r\n   !bytes\r\n…\r\n   =bytes\r\n…\r\n        bulk string, bulk error, verbatim string
 *     *n\r\n   ~n\r\n   >n\r\n      n values follow: array, set, push
 *     %n\r\n   |n\r\n               2n values follow: map, attribute (which then says more of the value behind it)
 */
import type { PeekBuffer } from "../../buffer/peek-buffer.ts";
import type { RefusedStatus } from "../contract.ts";

export interface RespLimits {
  /** A whole message, bytes. Default 16 MiB. It is held whole, once per version while replies are gathered. */
  readonly messageBytesMax: number;
  /** Aggregates within aggregates. Default 32. */
  readonly depthMax: number;
}

export const DEFAULT_RESP_LIMITS: RespLimits = { messageBytesMax: 16 * 1024 * 1024, depthMax: 32 };

/** The longest line, bytes; only simple strings and errors come near it. */
const LINE_BYTES_MAX = 64 * 1024;
const LF = 0x0a;
const CR = 0x0d;
const NUMBER = /^[+-]?[0-9]{1,19}$/;
const BIG_NUMBER = /^[+-]?[0-9]{1,4096}$/;
const DOUBLE = /^(?:[+-]?(?:[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?|inf)|-?nan)$/;
const LENGTH = /^(?:-1|[0-9]{1,10})$/;

export type RespScanned =
  | { readonly kind: "incomplete" }
  | { readonly kind: "complete"; readonly end: number }
  | { readonly kind: "refused"; readonly status: RefusedStatus; readonly why: string };

/** Values still to come of an aggregate that has begun. */
interface Aggregate {
  left: number;
  readonly attribute: boolean;
}

export class RespScan {
  readonly #limits: RespLimits;
  readonly #open: Aggregate[] = [];
  #position = 0;
  /** Length of the bulk string that begins at the position. */
  #bulk: number | undefined;

  constructor(limits: RespLimits) {
    this.#limits = limits;
  }

  /** The buffer must begin with the same bytes as at the last call. */
  advance(buffer: PeekBuffer): RespScanned {
    if (this.#bulk !== undefined && buffer.length < this.#position + this.#bulk + 2)
      return { kind: "incomplete" };
    // One array for the whole call: taking line by line out of a buffer of many chunks would take their square.
    const fresh = buffer.bytes(this.#position);
    const base = Math.min(this.#position, buffer.length);
    for (;;) {
      const done =
        this.#bulk === undefined ? this.#line(fresh, base) : this.#payload(fresh, base, this.#bulk);
      if (done === "more") continue;
      if (done === "value" && !this.#valueEnds()) continue;
      return done === "value" ? { kind: "complete", end: this.#position } : done;
    }
  }

  /** `fresh`: the bytes from the position `base` on. */
  #line(fresh: Buffer, base: number): "more" | "value" | RespScanned {
    const start = this.#position - base;
    const found = fresh.indexOf(LF, start);
    const end = found < 0 ? fresh.length : found + 1;
    if (end - start > LINE_BYTES_MAX || base + end > this.#limits.messageBytesMax) {
      return refused("too-large", "a line or the message is too long");
    }
    if (found < 0) return { kind: "incomplete" };
    if (end - start < 3 || fresh[end - 2] !== CR) return refused("malformed", "a line does not end in CR LF");
    this.#position = base + end;
    return this.#value(
      String.fromCharCode(fresh[start] as number),
      fresh.toString("latin1", start + 1, end - 2),
    );
  }

  #value(type: string, text: string): "more" | "value" | RespScanned {
    switch (type) {
      case "+":
      case "-":
        return text.includes("\r") ? refused("malformed", "a carriage return within a line") : "value";
      case ":":
        return NUMBER.test(text) ? "value" : refused("malformed", "an integer is none");
      case "(":
        return BIG_NUMBER.test(text) ? "value" : refused("malformed", "a big number is none");
      case ",":
        return text.length <= 64 && DOUBLE.test(text) ? "value" : refused("malformed", "a double is none");
      case "#":
        return text === "t" || text === "f" ? "value" : refused("malformed", "a boolean is none");
      case "_":
        return text === "" ? "value" : refused("malformed", "a null has a value");
      case "$":
      case "!":
      case "=":
        return this.#beginBulk(type, text);
      case "*":
      case "~":
      case ">":
      case "%":
      case "|":
        return this.#beginAggregate(type, text);
      default:
        return refused("malformed", "a value of unknown type");
    }
  }

  #beginBulk(type: string, text: string): "more" | "value" | RespScanned {
    if (text === "?") return refused("unsupported", "streamed strings");
    if (!LENGTH.test(text) || (text === "-1" && type !== "$"))
      return refused("malformed", "a length is none");
    if (text === "-1") return "value";
    const length = Number(text);
    if (this.#position + length + 2 > this.#limits.messageBytesMax) {
      return refused("too-large", `a message longer than ${this.#limits.messageBytesMax} bytes`);
    }
    this.#bulk = length;
    return "more";
  }

  #beginAggregate(type: string, text: string): "more" | "value" | RespScanned {
    if (text === "?") return refused("unsupported", "streamed aggregates");
    if (!LENGTH.test(text) || (text === "-1" && type !== "*")) return refused("malformed", "a count is none");
    const attribute = type === "|";
    const left = Number(text) * (attribute || type === "%" ? 2 : 1);
    if (left <= 0) return attribute ? "more" : "value";
    if (this.#open.length >= this.#limits.depthMax) return refused("too-large", "aggregates nest too deep");
    this.#open.push({ left, attribute });
    return "more";
  }

  #payload(fresh: Buffer, base: number, length: number): "value" | RespScanned {
    const end = this.#position - base + length;
    if (fresh.length < end + 2) return { kind: "incomplete" };
    if (fresh[end] !== CR || fresh[end + 1] !== LF)
      return refused("malformed", "a string is not as long as it says");
    this.#position = base + end + 2;
    this.#bulk = undefined;
    return "value";
  }

  /** A value is whole. Returns whether the message is, too. */
  #valueEnds(): boolean {
    for (let top = this.#open.at(-1); top !== undefined; top = this.#open.at(-1)) {
      top.left -= 1;
      if (top.left > 0) return false;
      this.#open.pop();
      // The value that the attribute is about is still to come.
      if (top.attribute) return false;
    }
    return true;
  }
}

function refused(status: RefusedStatus, why: string): RespScanned {
  return { kind: "refused", status, why };
}
