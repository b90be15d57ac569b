/**
 * The registers: a value under each key, with a stamp (how many writes the key had, and the identity of the last).
 * A write that comes again under the identity of the last one is done already. Of two states of a key the one with
 * more writes is newer, which lets a copy of a register be brought up to date in any order.
 *
 * Kept in `registers.ndjson`, one state per line, `{"key", "value", "stamp": "SEQUENCE/OPERATION"}`; later lines win. A
 * state is in the file before it is told to anybody.
 */
import { appendFileSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** The stamp as one word, as this version writes it. */
export function stampOf({ sequence, operation }) {
  return `${sequence}/${operation}`;
}

export function stampFrom(word) {
  const [, sequence, operation] = /^(\d+)\/(.*)$/.exec(word);
  return { sequence: Number(sequence), operation };
}

const NONE = { value: null, sequence: 0, operation: "" };

export class Registers {
  #states = new Map();
  #file;

  constructor(directory) {
    mkdirSync(directory, { recursive: true });
    this.#file = join(directory, "registers.ndjson");
    if (!existsSync(this.#file)) return;
    // What follows the last line end was cut short by a crash and never acknowledged.
    for (const line of readFileSync(this.#file, "utf8").split("\n").slice(0, -1)) {
      const { key, value, stamp } = JSON.parse(line);
      this.#states.set(key, { value, ...stampFrom(stamp) });
    }
  }

  get(key) {
    return { done: true, ...(this.#states.get(key) ?? NONE) };
  }

  set(key, value, operation = "") {
    return this.#write(key, value, operation, () => true);
  }

  /** Writes if the value is `expected`; what is returned says whether it was, and what the register holds now. */
  compareAndSet(key, expected, value, operation = "") {
    return this.#write(key, value, operation, (state) => state.value === expected);
  }

  /** Takes a state that another copy of the register had, unless this one is as new. */
  merge(key, { value, sequence, operation }) {
    if (sequence > this.get(key).sequence) this.#keep(key, { value, sequence, operation });
  }

  *[Symbol.iterator]() {
    for (const [key, state] of this.#states) yield { key, ...state };
  }

  #write(key, value, operation, allowed) {
    const state = this.#states.get(key) ?? NONE;
    if (operation !== "" && operation === state.operation) return { done: true, ...state };
    if (!allowed(state)) return { done: false, ...state };
    return { done: true, ...this.#keep(key, { value, sequence: state.sequence + 1, operation }) };
  }

  #keep(key, state) {
    appendFileSync(this.#file, `${JSON.stringify({ key, value: state.value, stamp: stampOf(state) })}\n`);
    this.#states.set(key, state);
    return state;
  }
}
