/**
 * What the load client knows of its keys: what it tried to write, what was acknowledged, and whether an answer to a
 * read can be true. Every key has one writer, whose values carry a sequence number that only grows.
 */

/** Why an answer to a read is wrong; undefined when it is right. */
export type WrongRead = "lost" | "stale" | "foreign";

export interface Write {
  readonly key: string;
  readonly sequence: number;
  readonly value: string;
}

interface KeyState {
  readonly key: string;
  attempted: number;
  acknowledged: number;
}

/** Reads look at one of the last so many acknowledged writes half of the time, where stale answers would show. */
const RECENT_MAX = 64;

export class KeyBook {
  readonly #keys: readonly KeyState[];
  readonly #padding: string;
  readonly #recent: number[] = [];
  readonly #acknowledgedKeys: number[] = [];

  /** `valueBytes` is what a value is padded to at least. */
  constructor(options: { readonly prefix: string; readonly keys: number; readonly valueBytes: number }) {
    this.#keys = Array.from({ length: options.keys }, (_, index) => ({
      key: `${options.prefix}-${index}`,
      attempted: 0,
      acknowledged: 0,
    }));
    this.#padding = "x".repeat(options.valueBytes);
  }

  #state(index: number): KeyState {
    const state = this.#keys[index];
    if (state === undefined) throw new RangeError(`there is no key number ${index}`);
    return state;
  }

  key(index: number): string {
    return this.#state(index).key;
  }

  /** The next value of a key. Its writer must not begin another write of it before this one is answered. */
  beginWrite(index: number): Write {
    const state = this.#state(index);
    state.attempted += 1;
    const { key, attempted } = state;
    const head = `${key} ${attempted} `;
    return { key, sequence: attempted, value: head + this.#padding.slice(head.length) };
  }

  acknowledge(index: number, sequence: number): void {
    const state = this.#state(index);
    if (state.acknowledged === 0) this.#acknowledgedKeys.push(index);
    state.acknowledged = Math.max(state.acknowledged, sequence);
    this.#recent.push(index);
    if (this.#recent.length > RECENT_MAX) this.#recent.shift();
  }

  /** The number of a key worth reading; `random` gives numbers in [0, 1). */
  pickRead(random: () => number): number {
    const pool = random() < 0.5 ? this.#recent : this.#acknowledgedKeys;
    return pool[Math.floor(random() * pool.length)] ?? Math.floor(random() * this.#keys.length);
  }

  /** The last acknowledged sequence of a key, 0 when there is none. A read must not answer anything older. */
  acknowledged(index: number): number {
    return this.#state(index).acknowledged;
  }

  /** Numbers of all keys with an acknowledged write. */
  acknowledgedKeys(): readonly number[] {
    return this.#acknowledgedKeys;
  }

  /** Judges the answer to a read that was sent when `atLeast` was acknowledged. `value` undefined means 404. */
  judge(index: number, atLeast: number, value: string | undefined): WrongRead | undefined {
    if (value === undefined) return atLeast === 0 ? undefined : "lost";
    const state = this.#state(index);
    const [key, digits] = value.split(" ", 2);
    const sequence = Number(digits);
    if (key !== state.key || !Number.isSafeInteger(sequence) || sequence < 1) return "foreign";
    if (sequence > state.attempted) return "foreign";
    return sequence < atLeast ? "stale" : undefined;
  }
}
