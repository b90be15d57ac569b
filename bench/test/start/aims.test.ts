/** Each aim is said to be reached, missed or not measured. */
import t from "tap";
import type { Row } from "../../harness/index.ts";
import { verdicts } from "../../start/aims.ts";
import { measureNames } from "../../start/probes.ts";

function row(measure: string, medians: Readonly<Record<string, number>>): Row {
  const values = Object.entries(medians).map(
    ([name, median]) => [name, { median, min: median, max: median }] as const,
  );
  return { measure, unit: "ms", better: "lower", values: Object.fromEntries(values) };
}

t.test("aims", async (t) => {
  const said = verdicts([
    row(measureNames.disk(1), { copy: 900, overlay: 12, lxc: 50 }),
    row(measureNames.until("answered", 1), { lxc: 499 }),
    row(measureNames.until("answered", 4), { lxc: 9_000 }),
  ]);
  t.match(said, /overlay: disk alone, 1 at once: aim below 50 ms: 12\.0 ms; reached/);
  t.match(said, /lxc: disk alone, 1 at once: aim below 50 ms: 50\.0 ms; misses/);
  t.match(said, /lxc: service answers, 1 at once: aim below 500 ms: 499 ms; reached/);
  t.match(said, /spare: SSH answers, 1 at once: aim below 1500 ms: not measured/);
});
