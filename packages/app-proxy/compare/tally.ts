/**
 * Counts of how pairs differed, kept so that what is learned later about noise counts for what was seen before: per set of
 * paths, not per verdict. Bounded; what does not fit counts as different.
 */
import type { Sample } from "./contract.ts";
import { Reservoir } from "./reservoir.ts";

/** Distinct paths that are counted. */
const PATHS_MAX = 1_024;
/** Distinct sets of paths that are counted, and samples kept of each. */
const KINDS_MAX = 256;
const SAMPLES_PER_KIND = 4;
/** Kinds of which samples are kept: 64 times 4 samples of at most about 9 KiB. */
const SAMPLED_KINDS_MAX = 64;

export interface PathCount {
  /** Pairs of the two versions that differ here. */
  differing: number;
  /** Pairs of the older version with itself that differ here, of those asked at random. */
  byChance: number;
  /** The older version was seen to differ from itself here, also when it was asked again because of a difference. */
  isNoise: boolean;
}

export interface Kind {
  readonly paths: readonly string[];
  readonly samples: Reservoir<Sample>;
  count: number;
}

export class Tally {
  readonly #random: () => number;
  readonly #paths = new Map<string, PathCount>();
  readonly #kinds = new Map<string, Kind>();
  overflow = 0;

  constructor(random: () => number) {
    this.#random = random;
  }

  get paths(): ReadonlyMap<string, Readonly<PathCount>> {
    return this.#paths;
  }

  kinds(): Iterable<Kind> {
    return this.#kinds.values();
  }

  isNoise(path: string): boolean {
    return this.#paths.get(path)?.isNoise === true;
  }

  /** A pair of the two versions; `paths` not empty. Returns those of the paths that are not known as noise. */
  pair(paths: readonly string[], sample: () => Sample): readonly string[] {
    for (const path of paths) this.#countOf(path, (count) => (count.differing += 1));
    // What is noise already says nothing more, and would make kinds without number.
    const telling = paths.filter((path) => !this.isNoise(path)).sort();
    const key = telling.join("\n");
    let kind = this.#kinds.get(key);
    if (kind === undefined) {
      if (this.#kinds.size >= KINDS_MAX) this.#dropNoise();
      if (this.#kinds.size >= KINDS_MAX) {
        this.overflow += 1;
        return telling;
      }
      const samples = this.#kinds.size < SAMPLED_KINDS_MAX ? SAMPLES_PER_KIND : 0;
      kind = { paths: telling, samples: new Reservoir(samples, this.#random), count: 0 };
      this.#kinds.set(key, kind);
    }
    kind.count += 1;
    if (telling.length > 0) kind.samples.offer(sample);
    return telling;
  }

  /** A pair of the older version with itself. `atRandom`: it counts for the rate, too. */
  control(paths: readonly string[], atRandom: boolean): void {
    for (const path of paths) {
      this.#countOf(path, (count) => {
        if (atRandom) count.byChance += 1;
        count.isNoise = true;
      });
    }
  }

  /** Kinds that turned out to be noise are one: that of pairs that differ by nothing else. */
  #dropNoise(): void {
    let count = 0;
    for (const [key, kind] of this.#kinds) {
      if (key === "" || !kind.paths.every((path) => this.isNoise(path))) continue;
      count += kind.count;
      this.#kinds.delete(key);
    }
    if (count === 0) return;
    const noise = this.#kinds.get("") ?? { paths: [], samples: new Reservoir(0, this.#random), count: 0 };
    noise.count += count;
    this.#kinds.set("", noise);
  }

  #countOf(path: string, change: (count: PathCount) => void): void {
    let count = this.#paths.get(path);
    if (count === undefined) {
      if (this.#paths.size >= PATHS_MAX) return;
      count = { differing: 0, byChance: 0, isNoise: false };
      this.#paths.set(path, count);
    }
    change(count);
  }
}
