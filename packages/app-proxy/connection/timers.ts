/** Callbacks to be made at a time, without a clock or a timer of its own. */

interface Entry {
  readonly atMs: number;
  readonly callback: () => void;
}

export class Timers {
  readonly #entries = new Set<Entry>();
  #earliestMs = Infinity;

  /** When the next callback is due, Infinity when there is none. May be early after a cancellation, never late. */
  get earliestMs(): number {
    return this.#earliestMs;
  }

  add(atMs: number, callback: () => void): () => void {
    const entry = { atMs, callback };
    this.#entries.add(entry);
    this.#earliestMs = Math.min(this.#earliestMs, atMs);
    return () => {
      this.#entries.delete(entry);
      if (this.#entries.size === 0) this.#earliestMs = Infinity;
    };
  }

  /** Makes the calls that are due, in the order of their times. */
  run(nowMs: number): void {
    if (nowMs < this.#earliestMs) return;
    const due = [...this.#entries].filter((entry) => entry.atMs <= nowMs);
    for (const entry of due.toSorted((left, right) => left.atMs - right.atMs)) {
      // An earlier callback may have cancelled this one.
      if (this.#entries.delete(entry)) entry.callback();
    }
    this.#earliestMs = Infinity;
    for (const entry of this.#entries) this.#earliestMs = Math.min(this.#earliestMs, entry.atMs);
  }

  clear(): void {
    this.#entries.clear();
    this.#earliestMs = Infinity;
  }
}
