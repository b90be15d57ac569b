/** Verdicts say what the rows say, also when that is a miss. */
import t from "tap";
import type { Row } from "../../harness/index.ts";
import { verdicts } from "../../proxy/aims.ts";
import { measureNames } from "../../proxy/probes.ts";

const row = (measure: string, better: Row["better"], medians: Record<string, number>, spread = 0): Row => ({
  measure,
  unit: "",
  better,
  values: Object.fromEntries(
    Object.entries(medians).map(([name, median]) => [
      name,
      { median, min: median - spread, max: median + spread },
    ]),
  ),
});

const lines = (rows: readonly Row[]): readonly string[] => verdicts(rows, 100, ["write-all"]).split("\n");

t.test("one version: ranges that meet are nothing measurable", async (t) => {
  const rate = (spread: number) => row(measureNames.rate(100), "higher", { direct: 100, kernel: 90 }, spread);
  t.match(lines([rate(6)])[1], /0\.90 times as good; nothing measurable/);
  t.match(lines([rate(1)])[1], /misses/);
});

t.test("pass-through: by requests and by processor time", async (t) => {
  const rate = row(measureNames.rate(100), "higher", { haproxy: 80, pass: 41 });
  const cost = row(measureNames.cost(100), "lower", { haproxy: 10, pass: 25 });
  const found = lines([rate, cost]).filter((line) => line.includes("pass-through"));
  t.match(found[0], /0\.51 of haproxy.*reached/);
  t.match(found[1], /0\.40 of haproxy.*misses/);
});

t.test("a second version: what is added to one", async (t) => {
  const p99 = (added: number) => row(measureNames.p99(1), "lower", { one: 0.5, "write-all": 0.5 + added });
  t.match(lines([p99(0.9)]).at(-2), /write-all: 0\.90 ms.*reached/);
  t.match(lines([p99(1.1)]).at(-2), /write-all: 1\.10 ms.*misses/);
});
