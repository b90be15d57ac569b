/** Tables and plots. */
import t from "tap";
import { barPlot } from "../../harness/bar-plot.ts";
import type { Row } from "../../harness/bench.ts";
import { figure, medianTable, ratioTable } from "../../harness/table.ts";

const rows: readonly Row[] = [
  {
    measure: "speed <of light>",
    unit: "m/s",
    better: "higher",
    values: { own: { median: 12.34, min: 1, max: 123.4 }, nat: { median: 6.17, min: 5, max: 7 } },
  },
  { measure: "cost", unit: "s", better: "lower", values: { nat: { median: 2, min: 2, max: 2 } } },
];

t.test("three digits that matter", async (t) => {
  t.same([1234.5, 123.4, 12.34, 1.234, 0].map(figure), ["1235", "123", "12.3", "1.23", "0.00"]);
});

t.test("a table has a column per contender and a dash where there is no value", async (t) => {
  t.equal(
    medianTable(rows, ["own", "nat"]),
    [
      "median, below it min–max  unit       own        nat",
      "speed <of light>          m/s       12.3       6.17",
      "                                1.00–123  5.00–7.00",
      "cost                      s            –       2.00",
      "                                       –  2.00–2.00",
      "",
    ].join("\n"),
  );
  t.equal(
    ratioTable(rows, ["own", "nat"], "nat"),
    ["times as good as nat   own", "speed <of light>      2.00", "cost                     –", ""].join("\n"),
  );
});

t.test("a plot names every measure and contender, and stays well-formed", async (t) => {
  const svg = barPlot("Title & more", rows, ["own", "nat"]);
  for (const word of ["Title &amp; more", "speed &lt;of light>, m/s", "own", "nat", "12.3"])
    t.match(svg, word);
  t.notMatch(svg, /NaN|undefined|Infinity/);
  t.equal(svg.match(/<rect/g)?.length, 4, "the ground and three bars");
});
