/** How news of a version spreads over fleets of 10 to 100,000 nodes, each of them the router's own gossip core. */
import type { Bench } from "../harness/index.ts";
import { makePlan, runPlan } from "./experiments.ts";
import { toPlot, toRows, toText } from "./report.ts";

const KIB_PER_MIB = 1_024;

export const bench: Bench = {
  question: "In how many rounds of traffic does a fleet learn of a new version?",
  async run({ quick, rounds, signal, say }) {
    const plan = makePlan(quick, rounds);
    const outcomes = await runPlan(plan, { signal, say });
    const peakMemoryMiB = Math.round(process.resourceUsage().maxRSS / KIB_PER_MIB);
    return {
      result: { question: bench.question, rounds: plan.seeds, rows: toRows(outcomes) },
      text: `${seedsText(plan)}\n\n${toText(outcomes, peakMemoryMiB)}`,
      plots: [
        {
          file: "gossip.svg",
          svg: toPlot("Rounds until a share of the fleet knows of a new version", outcomes),
        },
      ],
    };
  },
};

function seedsText({ sizes, seeds, seedsOfLargest }: ReturnType<typeof makePlan>): string {
  const most = Math.max(...sizes).toLocaleString("en");
  return `Seeds per size: ${seeds}; of ${most} nodes: ${seedsOfLargest}.`;
}
