/** The versions of a service that run now: a sorted set that changes under those who hold it. */

export class VersionSet {
  /** Ascending. Replaced as a whole on change, so that an iteration under way sees one state only. */
  #sorted: readonly number[];

  constructor(versions: Iterable<number> = []) {
    this.#sorted = ascendingOf(versions);
  }

  get size(): number {
    return this.#sorted.length;
  }

  /** The oldest version, undefined when none runs. */
  get min(): number | undefined {
    return this.#sorted[0];
  }

  /** The newest version, undefined when none runs. */
  get max(): number | undefined {
    return this.#sorted.at(-1);
  }

  has(version: number): boolean {
    return this.#sorted.includes(version);
  }

  /** Oldest first. */
  [Symbol.iterator](): IterableIterator<number> {
    return this.#sorted.values();
  }

  ascending(): IterableIterator<number> {
    return this.#sorted.values();
  }

  descending(): IterableIterator<number> {
    return this.#sorted.toReversed().values();
  }

  /** A copy that does not change with this set. */
  snapshot(): VersionSet {
    const copy = new VersionSet();
    copy.#sorted = this.#sorted;
    return copy;
  }

  /** Takes out what is not in the other set. */
  keepOnly(other: VersionSet): void {
    if (this.#sorted.every((version) => other.has(version))) return;
    this.#sorted = this.#sorted.filter((version) => other.has(version));
  }

  /** Replaces the whole content; says what came and what went. */
  replace(versions: Iterable<number>): { readonly added: number[]; readonly removed: number[] } {
    const before = this.#sorted;
    const asked = [...versions];
    // Nearly always; and this is asked several times per request.
    if (asked.length === before.length && asked.every((version, index) => version === before[index])) {
      return { added: [], removed: [] };
    }
    const after = ascendingOf(asked);
    this.#sorted = after;
    return {
      added: after.filter((version) => !before.includes(version)),
      removed: before.filter((version) => !after.includes(version)),
    };
  }
}

function ascendingOf(versions: Iterable<number>): readonly number[] {
  return [...new Set(versions)].toSorted((left, right) => left - right);
}
