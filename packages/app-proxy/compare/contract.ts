/** What is told of the comparing of two versions; as JSON it goes over the control interface. */
import type { RateEstimate } from "./statistics.ts";

/** What comparing one pair of replies came to. */
export type Verdict =
  | "same"
  /** They differ only where the older version differs from itself. */
  | "noise"
  | "different"
  /** One did what it was asked and the other did not. */
  | "failed"
  /** One did not reply. */
  | "missing";

/**
 * Of a path at which replies differ. `different`: the older version was never seen to differ from itself there. `noise`:
 * it was, and the versions do not differ more often than that. `more-than-noise`: they do.
 */
export type FieldVerdict = "different" | "noise" | "more-than-noise";

export interface FieldReport {
  readonly path: string;
  readonly verdict: FieldVerdict;
  /** Pairs of replies that differ there, of those compared. */
  readonly differing: RateEstimate;
  /** Of reads that the older version was asked twice, those whose two replies differ there. */
  readonly byChance: RateEstimate;
  /** The versions differ there more often than the older one from itself, beyond what chance explains. */
  readonly proven: boolean;
}

export interface Sample {
  /** For people: what was asked. */
  readonly request: string;
  /** Of the proxy's clock, milliseconds. */
  readonly atMs: number;
  readonly paths: readonly SamplePath[];
}

export interface SamplePath {
  readonly path: string;
  /** JSON, cut; secrets taken out. Absent: nothing is there. */
  readonly baseline?: string;
  readonly candidate?: string;
}

export interface ComparisonReport {
  /** The older version, whose replies are taken for right. */
  readonly baseline: number;
  readonly candidate: number;
  /** Of the intervals. */
  readonly confidence: number;
  /** Every pair that was to be compared is in exactly one of these and of `dropped`. */
  readonly verdicts: Readonly<Record<Verdict, number>>;
  readonly compared: number;
  /** Pairs for which there was no room, or that a change of versions or a client's leaving cut off. */
  readonly dropped: number;
  /** Pairs of which neither version replied; not among `compared`. */
  readonly unanswered: number;
  /** Of `failed` and `missing`, those at which it was this version that failed. */
  readonly failedAt: { readonly baseline: number; readonly candidate: number };
  /** Pairs that are different, failed or missing. */
  readonly difference: RateEstimate;
  /** Reads that the older version was asked twice: those with any difference. */
  readonly chance: RateEstimate;
  /** Second reads that were not answered. */
  readonly chanceLost: number;
  /** Those that matter first; at most 32. */
  readonly fields: readonly FieldReport[];
  /** Pairs that differed in more ways than are kept apart; they count as different. */
  readonly overflow: number;
  /** Chosen evenly among pairs that are different, failed or missing. */
  readonly samples: readonly Sample[];
}
