/**
 * Randomness that is a function of seed, node, step and a count, not of the order of calls: so a run is repeatable,
 * and nodes that are left out change nothing for the others.
 */

const UINT32 = 2 ** 32;

export class Dice {
  readonly #seed: number;
  #state = 0;

  constructor(seed: number) {
    this.#seed = mix(seed | 0);
  }

  /** Begins the numbers of this node at this step. `purpose` keeps several uses in one step apart. */
  at(node: number, step: number, purpose: number): this {
    this.#state = mix(mix(mix(this.#seed ^ node) + step) ^ purpose);
    return this;
  }

  /** The next number in [0, 1). */
  readonly next = (): number => {
    this.#state = (this.#state + 0x9e_37_79_b9) | 0;
    return (mix(this.#state) >>> 0) / UINT32;
  };

  /** The next integer in [0, bound). */
  below(bound: number): number {
    return Math.floor(this.next() * bound);
  }
}

/** The finalizer of MurmurHash3: every bit of the input changes half of the bits of the output. */
function mix(value: number): number {
  let bits = value;
  bits = Math.imul(bits ^ (bits >>> 16), 0x85_eb_ca_6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2_b2_ae_35);
  return bits ^ (bits >>> 16);
}
