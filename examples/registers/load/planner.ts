/** What a client asks next: few keys that all clients fight for, and keys that are written once and read back at the end. */
import type { Request } from "./protocol.ts";
import { valueOf } from "./protocol.ts";
import type { Value } from "../../linearizability/history.ts";

/** Shares of the requests. */
const ONCE = 0.1;
const READS = 0.5;
const COMPARES = 0.2;

export class Planner {
  readonly #name: string;
  readonly #keys: number;
  readonly #random: () => number;
  readonly #held = new Map<string, Value>();
  #count = 0;

  /** `name`: of the client, unique among all of a service. */
  constructor(name: string, keys: number, random: () => number) {
    this.#name = name;
    this.#keys = keys;
    this.#random = random;
  }

  next(): Request {
    if (this.#random() < ONCE) return this.#write(`once-${this.#name}-${(this.#count += 1)}`);
    // Half of the requests go to a quarter of the keys.
    const keys = this.#random() < 0.5 ? Math.ceil(this.#keys / 4) : this.#keys;
    const key = `k${Math.floor(this.#random() * keys)}`;
    const share = this.#random();
    if (share < READS) return { kind: "read", key };
    const expected = this.#held.get(key);
    if (share < READS + COMPARES && typeof expected === "string") {
      return { kind: "cas", key, expected, value: this.#value(key) };
    }
    return this.#write(key);
  }

  /** The same once more, under a value of its own, after nobody knows what became of it. */
  again(request: Request): Request {
    return request.kind === "read" ? request : { ...request, value: this.#value(request.key) };
  }

  /** What a register held a moment ago: a compare-and-set that expects it has a chance. */
  saw(key: string, value: Value): void {
    this.#held.set(key, value);
  }

  #write(key: string): Request {
    return { kind: "write", key, value: this.#value(key) };
  }

  #value(key: string): string {
    return valueOf(key, `${this.#name}.${(this.#count += 1)}`);
  }
}
