/** What the gossip bench makes of its figures. */
import t from "tap";
import type { Outcome } from "../../gossip/experiments.ts";
import { fitLine } from "../../gossip/fit.ts";
import { toPlot, toRows, toText } from "../../gossip/report.ts";

const sizes = [10, 100, 1_000];

function outcome(fleet: Outcome["fleet"], nodes: number, rounds: number, variation?: string): Outcome {
  const milestone = { rounds, trafficMarks: 2 * rounds * nodes, directMarks: 0 };
  return { fleet, nodes, variation, results: [{ half: milestone, share99: milestone, all: milestone }] };
}

const outcomes = [
  ...sizes.flatMap((nodes) => [
    outcome("ring", nodes, nodes),
    ...(["tree", "dht", "random", "idle"] as const).map((fleet) => outcome(fleet, nodes, Math.log2(nodes))),
  ]),
  outcome("dht", 1_000, 12, "a fifth of the marks lost"),
];

t.test("a line is found, and how well it fits", async (t) => {
  const line = fitLine([1, 2, 3].map((x) => ({ x, y: 2 * x + 1 })));
  t.match(line, { offset: 1, slope: 2, rSquared: 1 });
  t.ok(fitLine([1, 2, 3, 4].map((x) => ({ x, y: x % 2 }))).rSquared < 0.5);
});

t.test("rows: milestones and marks of each size, then the variations that ran", async (t) => {
  const rows = toRows(outcomes);
  t.equal(rows.length, sizes.length * 4 + 1);
  t.match(rows[0], { measure: "10 nodes: 50 % know", unit: "rounds", values: { ring: { median: 10 } } });
  t.match(rows[3], { measure: "10 nodes: marks until all know", values: { ring: { median: 20 } } });
  t.strictSame(Object.keys(rows.at(-1)?.values ?? {}), ["dht"]);
});

t.test("the text says what grows how", async (t) => {
  const text = toText(outcomes, 1_234);
  t.match(text, /^ring +N +0\.00 \+ 1\.00 N /m);
  t.match(text, /^dht +log N +\S+ \+ 1\.00 log2 N +1\.000/m);
  t.match(text, /1,234 MiB/);
});

t.test("the plot has a line per fleet and milestone, none out of its area", async (t) => {
  const svg = toPlot("title <&", outcomes);
  t.match(svg, "title &lt;&amp;");
  t.notMatch(svg, /NaN|Infinity/);
  t.equal(svg.match(/stroke-width="1.8"/g)?.length, 3 * (3 + 1 + 5));
});
