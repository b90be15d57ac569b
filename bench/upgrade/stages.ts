/** Rows from what the demonstration reports: each stage of each node in each run is one value. Pure. */
import { summarize } from "../harness/index.ts";
import type { Row } from "../harness/index.ts";

/** The part of `scripts/demo --json` that counts here; documented in docs/DEMO.md. */
export interface DemoReport {
  readonly schema: number;
  readonly hypervisor: string;
  readonly failed: number;
  readonly seconds: number;
  readonly stages: Readonly<
    Record<string, readonly { readonly stage: string; readonly lastedMs?: number }[]>
  >;
}

/** Stages in the order in which nodes go through them; `running` lasts as long as an operator likes, and is left out. */
export function stageRows(reports: readonly DemoReport[]): readonly Row[] {
  const contender = reports[0]?.hypervisor ?? "";
  const lasted = new Map<string, number[]>();
  const nodes = reports.flatMap((report) => Object.values(report.stages));
  for (const stages of nodes) {
    let totalMs = 0;
    for (const { stage, lastedMs } of stages) {
      if (stage === "running") break;
      if (lastedMs === undefined) continue;
      totalMs += lastedMs;
      lasted.set(stage, [...(lasted.get(stage) ?? []), lastedMs]);
    }
    lasted.set(TOTAL, [...(lasted.get(TOTAL) ?? []), totalMs]);
  }
  const stages = [...lasted.keys()].filter((stage) => stage !== TOTAL);
  return [...stages, TOTAL].map((measure) => ({
    measure,
    unit: "ms",
    better: "lower",
    values: { [contender]: summarize(lasted.get(measure) ?? []) },
  }));
}

const TOTAL = "from discovery to running";
