/** What passages of domains come to, and the worker asked for it. */
import t from "tap";
import { runRounds } from "../../harness/index.ts";
import { MARKS } from "../../start/contract.ts";
import type { Passage, Work } from "../../start/contract.ts";
import { measureNames, partOf, probesOf, untilLast } from "../../start/probes.ts";
import { stagesPlot } from "../../start/stages-plot.ts";

/** Passes its marks at 1, 2, 3 … times `stepMs`. */
function passage(stepMs: number): Passage {
  return Object.fromEntries(MARKS.map((mark, index) => [mark, (index + 1) * stepMs])) as Record<
    (typeof MARKS)[number],
    number
  >;
}

t.test("the last of several counts, and parts are what lies between marks", async (t) => {
  t.equal(untilLast([passage(10), passage(30), passage(20)], "running"), 90);
  t.equal(partOf(passage(10), "disk"), 10);
  t.equal(partOf({ ...passage(10), ssh: 57 }, "ssh"), 17);
  t.throws(() => partOf(undefined, "ssh"), RangeError);
});

t.test("one domain has parts, more have none; the parts add up to the whole", async (t) => {
  const asked: Work[] = [];
  const perform = (work: Work) => {
    asked.push(work);
    return Promise.resolve(
      work.kind === "disks"
        ? ({ ok: true, kind: "disks", allMs: 5 } as const)
        : ({
            ok: true,
            kind: "domains",
            passages: Array.from({ length: work.count }, () => passage(10)),
            detours: [],
          } as const),
    );
  };
  const probes = probesOf(perform, [1, 4]);
  const options = { signal: new AbortController().signal, say: () => {} };
  const rows = await runRounds([{ name: "lxc" } as const], probes, 1, options);
  const medianOf = (measure: string): number =>
    rows.find((row) => row.measure === measure)?.values["lxc"]?.median ?? NaN;
  t.same(
    asked.map(({ kind, way, count }) => `${kind} ${way} ${count}`),
    ["disks lxc 1", "domains lxc 1", "disks lxc 4", "domains lxc 4"],
  );
  t.equal(medianOf(measureNames.disk(4)), 5);
  t.equal(medianOf(measureNames.until("answered", 4)), 80);
  const parts = MARKS.map((mark) => medianOf(measureNames.part(mark)));
  t.equal(
    parts.reduce((sum, part) => sum + part, 0),
    medianOf(measureNames.until("answered", 1)),
  );

  const svg = stagesPlot("title", rows, ["copy", "lxc"]);
  t.match(svg, /80\.0 ms/);
  t.notMatch(svg, /end">copy</, "a contender without figures has no bar");
  t.equal(svg.match(/NaN|undefined/), null);
});
