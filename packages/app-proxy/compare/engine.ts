/**
 * The comparing of one version with another: pairs of replies go in, verdicts and rates come out. Pure.
 *
 * What differs by chance is learned as in Diffy (Twitter, 2015): the older version is asked some reads twice, and where
 * its two replies differ, other versions may. Unlike there a path is not struck off by a ratio of counts: what was never
 * seen by chance is a difference, and what was is judged by whether the two rates can be the same.
 */
import type { ComparisonReport, FieldReport, Sample, Verdict } from "./contract.ts";
import { differencesOf, type Difference } from "./difference.ts";
import type { Rules } from "./rules.ts";
import { sampleOf, type SampleOptions } from "./sample.ts";
import { estimateRate, rateExcess } from "./statistics.ts";
import { Tally, type PathCount } from "./tally.ts";
import type { ComparableValue } from "./value.ts";

/** What one version made of a request. */
export type Side =
  | { readonly kind: "replied"; readonly success: boolean; readonly value: ComparableValue }
  /** No reply; `detail` is for people. */
  | { readonly kind: "missing"; readonly detail: string };

export interface EngineOptions {
  readonly baseline: number;
  readonly candidate: number;
  readonly rules: Rules;
  readonly samples: SampleOptions;
  /** Of the intervals of a report. */
  readonly confidence: number;
  /** 0 ≤ x < 1, for choosing samples. */
  readonly random: () => number;
}

const FAILED = "(failed)";
const MISSING = "(missing)";

/** A path is said to differ more often than by chance when that would be seen by chance once in a thousand reports. */
const EXCESS_CONFIDENCE = 0.999;
const FIELDS_MAX = 32;
const SAMPLES_MAX = 16;

export class CompareEngine {
  readonly #options: EngineOptions;
  readonly #tally: Tally;
  #same = 0;
  #differing = 0;
  #dropped = 0;
  #unanswered = 0;
  readonly #failedAt = { baseline: 0, candidate: 0 };
  readonly #controls = { compared: 0, differing: 0, lost: 0 };

  constructor(options: EngineOptions) {
    this.#options = options;
    this.#tally = new Tally(options.random);
  }

  get baseline(): number {
    return this.#options.baseline;
  }

  /** Reads of the older version compared with themselves at random, so far. */
  get controls(): number {
    return this.#controls.compared;
  }

  /** A request that both were to answer. Returns the paths that are not known as noise; empty when all is well. */
  pair(baseline: Side, candidate: Side, request: () => string, atMs: number): readonly string[] {
    if (baseline.kind === "missing" && candidate.kind === "missing") {
      this.#unanswered += 1;
      return [];
    }
    const differences = this.#differences(baseline, candidate);
    if (differences.length === 0) {
      this.#same += 1;
      return [];
    }
    this.#differing += 1;
    const [{ path }] = differences as readonly [Difference];
    if (path === FAILED) this.#failedAt[succeeded(baseline) ? "candidate" : "baseline"] += 1;
    if (path === MISSING) this.#failedAt[baseline.kind === "replied" ? "candidate" : "baseline"] += 1;
    const sample = (): Sample => {
      const [noise, telling] = [true, false].map((is) =>
        differences.filter((difference) => this.#tally.isNoise(difference.path) === is),
      );
      return sampleOf(request(), atMs, [...(telling ?? []), ...(noise ?? [])], this.#options.samples);
    };
    return this.#tally.pair(pathsOf(differences), sample);
  }

  /** A pair that cannot be compared, for a reason that says nothing of the versions. */
  drop(): void {
    this.#dropped += 1;
  }

  /**
   * Two replies of the older version to one read. `atRandom`: it was not asked because the versions differed, so that
   * it counts for the rate of what differs by chance.
   */
  control(first: Side, second: Side, atRandom: boolean): void {
    if (first.kind === "missing" || second.kind === "missing") {
      this.#controls.lost += 1;
      return;
    }
    const paths = pathsOf(this.#differences(first, second));
    if (atRandom) {
      this.#controls.compared += 1;
      if (paths.length > 0) this.#controls.differing += 1;
    }
    this.#tally.control(paths, atRandom);
  }

  report(): ComparisonReport {
    const { baseline, candidate, confidence } = this.#options;
    const verdicts = this.#verdicts();
    const compared = this.#same + this.#differing;
    const bad = verdicts.different + verdicts.failed + verdicts.missing;
    return {
      baseline,
      candidate,
      confidence,
      verdicts,
      compared,
      dropped: this.#dropped,
      unanswered: this.#unanswered,
      failedAt: { ...this.#failedAt },
      difference: estimateRate(bad, compared, confidence),
      chance: estimateRate(this.#controls.differing, this.#controls.compared, confidence),
      chanceLost: this.#controls.lost,
      fields: this.#fields(compared),
      overflow: this.#tally.overflow,
      samples: this.#samples(),
    };
  }

  #differences(left: Side, right: Side): readonly Difference[] {
    if (left.kind === "replied" && right.kind === "replied") {
      if (left.success === right.success) return differencesOf(left.value, right.value, this.#options.rules);
      return [{ path: FAILED, left: left.value, right: right.value }];
    }
    const shown = (side: Side): ComparableValue => (side.kind === "replied" ? side.value : side.detail);
    return [{ path: MISSING, left: shown(left), right: shown(right) }];
  }

  #verdicts(): Record<Verdict, number> {
    const verdicts = { same: this.#same, noise: 0, different: this.#tally.overflow, failed: 0, missing: 0 };
    for (const { paths, count } of this.#tally.kinds()) verdicts[this.#verdictOf(paths)] += count;
    return verdicts;
  }

  #verdictOf(paths: readonly string[]): Verdict {
    if (paths.includes(MISSING)) return "missing";
    if (paths.every((path) => this.#tally.isNoise(path))) return "noise";
    return paths.includes(FAILED) ? "failed" : "different";
  }

  #fields(compared: number): readonly FieldReport[] {
    const { confidence } = this.#options;
    const seen = [...this.#tally.paths].filter(([, { differing }]) => differing > 0);
    // Many paths are looked at: each gets its share of the chance of being wrong.
    const strict = 1 - (1 - EXCESS_CONFIDENCE) / Math.max(1, seen.length);
    const fieldOf = ([path, count]: readonly [string, Readonly<PathCount>]): FieldReport => {
      const excess = rateExcess(
        { count: count.differing, of: compared },
        { count: count.byChance, of: this.#controls.compared },
        strict,
      );
      const proven = excess.low > 0;
      return {
        path,
        verdict: count.isNoise ? (proven ? "more-than-noise" : "noise") : "different",
        differing: estimateRate(count.differing, compared, confidence),
        byChance: estimateRate(count.byChance, this.#controls.compared, confidence),
        proven,
      };
    };
    const rank = { different: 0, "more-than-noise": 1, noise: 2 };
    return seen
      .map(fieldOf)
      .toSorted(
        (left, right) =>
          rank[left.verdict] - rank[right.verdict] || right.differing.count - left.differing.count,
      )
      .slice(0, FIELDS_MAX);
  }

  /** Some of each kind before more of any. */
  #samples(): readonly Sample[] {
    const kinds = [...this.#tally.kinds()].filter(({ paths }) => this.#verdictOf(paths) !== "noise");
    const samples: Sample[] = [];
    for (let round = 0; samples.length < SAMPLES_MAX; round += 1) {
      const next = kinds.flatMap((kind) => kind.samples.items.slice(round, round + 1));
      if (next.length === 0) break;
      samples.push(...next);
    }
    return samples.slice(0, SAMPLES_MAX);
  }
}

function succeeded(side: Side): boolean {
  return side.kind === "replied" && side.success;
}

function pathsOf(differences: readonly Difference[]): readonly string[] {
  return differences.map(({ path }) => path);
}
