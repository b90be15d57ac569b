/** Whether what was compared is enough, and good enough, for giving the older version up. */
import type { ComparisonReport } from "./contract.ts";
import { estimateRate, rateExcess } from "./statistics.ts";

export interface CompareGate {
  /** 0…1: the rate of differing pairs must be below it, with the confidence below. */
  readonly maxDifferenceRate: number;
  /** Pairs that must have been compared. */
  readonly minRequests: number;
  /** One-sided; above 0 and below 1. */
  readonly confidence: number;
}

/**
 * Why the gate is not met, as sentences; empty when it is. `reports`: those whose candidate is to take over. None at
 * all is a reason, too.
 */
export function faultsOfGate(gate: CompareGate, reports: readonly ComparisonReport[]): readonly string[] {
  if (reports.length === 0) return ["nothing was compared yet"];
  return reports.flatMap((report) => faultsOfReport(gate, report));
}

function faultsOfReport(gate: CompareGate, report: ComparisonReport): readonly string[] {
  const { compared, difference, fields, candidate, baseline, chance } = report;
  const faults: string[] = [];
  const who = `version ${candidate} against ${baseline}`;
  const { atMost, count } = estimateRate(difference.count, compared, gate.confidence);
  if (compared < gate.minRequests)
    faults.push(`${who}: ${compared} of ${gate.minRequests} requests are compared`);
  if (atMost > gate.maxDifferenceRate) {
    faults.push(
      `${who}: ${count} of ${compared} differ, so the rate may be ${percent(atMost)}; ` +
        `${percent(gate.maxDifferenceRate)} is allowed`,
    );
  }
  for (const { path, verdict, differing, byChance } of fields) {
    if (verdict !== "more-than-noise") continue;
    const { low } = rateExcess(differing, byChance, gate.confidence);
    if (low <= gate.maxDifferenceRate) continue;
    faults.push(
      `${who}: ${path} differs in ${percent(differing.rate)}, by chance in ${percent(byChance.rate)} of ${chance.of}`,
    );
  }
  return faults;
}

function percent(rate: number): string {
  return `${Number((rate * 100).toPrecision(3))} %`;
}
