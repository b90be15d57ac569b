/**
 * One direction's input: bytes that arrived from a sender, offered to a handler until it has consumed what it can.
 * Pure: a promise of a handler is passed out, and its result comes back through `settle`.
 */
import { PeekBuffer } from "../buffer/peek-buffer.ts";
import { ProxyError } from "../errors.ts";

export interface InletOptions {
  readonly bytesMax: number;
  offer(buffer: PeekBuffer): number | Promise<number>;
  /** Takes a promise to wait for; the result comes back through `settle`. */
  wait(promise: Promise<number>): void;
}

export class Inlet {
  readonly buffer = new PeekBuffer();
  readonly #options: InletOptions;
  #waiting = false;
  /** The handler said 0 and nothing has come since. */
  #incomplete = false;
  #lengthOffered = 0;
  #consumedBefore = 0;
  /** Since when the first byte of an incomplete message has been here. */
  #messageSinceMs: number | undefined;

  constructor(options: InletOptions) {
    this.#options = options;
  }

  /** A handler's promise is pending. */
  get busy(): boolean {
    return this.#waiting;
  }

  /** Nothing is left that could be offered. */
  get quiet(): boolean {
    return !this.#waiting && (this.#incomplete || this.buffer.length === 0);
  }

  get messageSinceMs(): number | undefined {
    return this.#messageSinceMs;
  }

  add(bytes: Uint8Array, nowMs: number): void {
    if (this.buffer.length === 0) this.#messageSinceMs = nowMs;
    this.buffer.append(bytes);
    this.#incomplete = false;
  }

  /** Offers what is here while `mayRun`. Returns whether anything was offered. Throws what the handler throws. */
  run(mayRun: () => boolean, nowMs: number): boolean {
    let offered = false;
    while (!this.quiet && !this.#waiting && mayRun()) {
      offered = true;
      this.buffer.resetPeek();
      this.#lengthOffered = this.buffer.length;
      this.#consumedBefore = this.buffer.consumed;
      const result = this.#options.offer(this.buffer);
      if (typeof result !== "number") {
        this.#waiting = true;
        this.#options.wait(result);
        break;
      }
      this.#consume(result, nowMs);
    }
    return offered;
  }

  /** The promise passed to `wait` was fulfilled. */
  settle(consumed: number, nowMs: number): void {
    this.#waiting = false;
    this.#consume(consumed, nowMs);
  }

  /** Throws away what is here; for input that nobody will look at. */
  clear(): void {
    this.buffer.discard(this.buffer.length);
    this.#messageSinceMs = undefined;
  }

  #consume(consumed: number, nowMs: number): void {
    if (!Number.isInteger(consumed) || consumed < 0) {
      throw new ProxyError(
        "E_HANDLER",
        `A handler returned ${consumed}; it must return the number of bytes consumed.`,
      );
    }
    const taken = this.buffer.consumed - this.#consumedBefore;
    this.buffer.discard(Math.max(0, consumed - taken));
    if (consumed > 0 || taken > 0) {
      this.#messageSinceMs = this.buffer.length > 0 ? nowMs : undefined;
      return;
    }
    this.#incomplete = this.buffer.length === this.#lengthOffered;
    if (this.#incomplete && this.buffer.length >= this.#options.bytesMax) {
      throw new ProxyError(
        "E_MESSAGE_TOO_LARGE",
        `A message is longer than ${this.#options.bytesMax} bytes; raise inputBytesMax or let the framing refuse it.`,
      );
    }
  }
}
