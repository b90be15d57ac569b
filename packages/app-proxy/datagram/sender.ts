/** The datagrams of one sender, offered to a handler one by one; while its promise is pending the next ones wait. Pure. */
import { PeekBuffer } from "../buffer/peek-buffer.ts";
import type { DatagramCounts } from "./contract.ts";

export interface SenderOptions {
  readonly waitingMax: number;
  readonly counts: DatagramCounts;
  offer(buffer: PeekBuffer): number | Promise<number>;
  /** Takes a promise to wait for; its end comes back through `settle`. */
  wait(promise: Promise<number>): void;
}

export class Sender {
  readonly #options: SenderOptions;
  readonly #waiting: Uint8Array[] = [];
  #busy = false;

  constructor(options: SenderOptions) {
    this.#options = options;
  }

  get waitingBytes(): number {
    return this.#waiting.reduce((sum, bytes) => sum + bytes.length, 0);
  }

  add(bytes: Uint8Array): void {
    if (!this.#busy) return this.#offer(bytes);
    if (this.#waiting.length < this.#options.waitingMax) this.#waiting.push(bytes);
    else this.#options.counts.overflowed += 1;
  }

  settle(): void {
    this.#busy = false;
    while (!this.#busy) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      this.#offer(next);
    }
  }

  #offer(bytes: Uint8Array): void {
    const { counts } = this.#options;
    try {
      const result = this.#options.offer(new PeekBuffer(bytes));
      // A number says nothing here: what a handler leaves of a datagram is gone with it.
      if (typeof result === "number") return;
      this.#busy = true;
      this.#options.wait(
        result.catch(() => {
          counts.failed += 1;
          return 0;
        }),
      );
    } catch {
      counts.failed += 1;
    }
  }
}
