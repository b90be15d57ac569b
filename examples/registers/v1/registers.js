/**
 * The registers: a value under each key, with a stamp (how many writes the key had, and the identity of the last).
 * A write that comes again under the identity of the last one is done already. Of two states of a key the one with
 * more writes is newer, which lets a copy of a register be brought up to date in any order.
 *
 * Kept in `registers.log`, one line per state: sequence, operation, key, value, tab-separated, URI-encoded; later lines
 * win. A state is in the file before it is told to anybody.
 */
import { appendFileSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const NONE = { value: null, sequence: 0, operation: "" };

export class Registers {
  #states = new Map();
  #file;

  constructor(directory) {
    mkdirSync(directory, { recursive: true });
    this.#file = join(directory, "registers.log");
    if (!existsSync(this.#file)) return;
    // What follows the last line end was cut short by a crash and never acknowledged.
    for (const line of readFileSync(this.#file, "utf8").split("\n").slice(0, -1)) {
      const [sequence, operation, key, value] = line.split("\t").map(decodeURIComponent);
      this.#states.set(key, { value, sequence: Number(sequence), operation });
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
    const words = [state.sequence, state.operation, key, state.value];
    appendFileSync(this.#file, `${words.map(encodeURIComponent).join("\t")}\n`);
    this.#states.set(key, state);
    return state;
  }
}
