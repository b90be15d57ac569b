/** Stages of several nodes and runs become rows. */
import t from "tap";
import { stageRows } from "../../upgrade/stages.ts";
import type { DemoReport } from "../../upgrade/stages.ts";

function report(...bootingMs: readonly number[]): DemoReport {
  const stages = bootingMs.map((lastedMs, index) => {
    const times = [
      { stage: "discovered", lastedMs: 10 },
      { stage: "booting", lastedMs },
      { stage: "running", lastedMs: 9_999 },
      { stage: "draining" },
    ];
    return [`n${index}`, times] as const;
  });
  return { schema: 1, hypervisor: "lxc", failed: 0, seconds: 9, stages: Object.fromEntries(stages) };
}

t.test("over nodes and runs, up to running", async (t) => {
  t.same(stageRows([report(100, 300), report(200)]), [
    {
      measure: "discovered",
      unit: "ms",
      better: "lower",
      values: { lxc: { median: 10, min: 10, max: 10 } },
    },
    {
      measure: "booting",
      unit: "ms",
      better: "lower",
      values: { lxc: { median: 200, min: 100, max: 300 } },
    },
    {
      measure: "from discovery to running",
      unit: "ms",
      better: "lower",
      values: { lxc: { median: 210, min: 110, max: 310 } },
    },
  ]);
});
