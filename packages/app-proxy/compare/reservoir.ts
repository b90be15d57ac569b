/** An even sample of a stream of unknown length (J. S. Vitter's algorithm R, 1985). */
export class Reservoir<Item> {
  readonly #size: number;
  readonly #random: () => number;
  readonly #items: Item[] = [];
  #seen = 0;

  /** `random`: 0 ≤ x < 1. */
  constructor(size: number, random: () => number) {
    this.#size = size;
    this.#random = random;
  }

  get items(): readonly Item[] {
    return this.#items;
  }

  /** `make` is called only when the item is taken. */
  offer(make: () => Item): void {
    this.#seen += 1;
    if (this.#items.length < this.#size) {
      this.#items.push(make());
      return;
    }
    const at = Math.floor(this.#random() * this.#seen);
    if (at < this.#size) this.#items[at] = make();
  }
}

/** Numbers 0 ≤ x < 1 for choosing samples, the same from one start to the next (G. Marsaglia's xorshift, 32 bits). */
export function sampleNumbers(seed = 0x9e37_79b9): () => number {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}
