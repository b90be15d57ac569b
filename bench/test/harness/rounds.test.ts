/** Rounds, and the form of what `--json` prints. */
import t from "tap";
import type { Result } from "../../harness/bench.ts";
import { runRounds } from "../../harness/rounds.ts";
import type { Probe } from "../../harness/rounds.ts";

interface Fake {
  readonly name: string;
  readonly values: readonly number[];
}

const fakes: readonly Fake[] = [
  { name: "fast", values: [3, 5, 4] },
  { name: "slow", values: [1, 2, 9] },
];
const options = (): { signal: AbortSignal; say: (line: string) => void } => ({
  signal: new AbortController().signal,
  say: () => undefined,
});

function probe(seen: string[], more: Partial<Probe<Fake>> = {}): Probe<Fake> {
  return {
    name: "speed",
    measures: [
      { measure: "speed", unit: "m/s", better: "higher" },
      { measure: "cost", unit: "s", better: "lower" },
    ],
    fits: () => true,
    run: async ({ name, values }) => {
      const value = values[seen.filter((one) => one === name).length] ?? 0;
      seen.push(name);
      return [value, 10 * value];
    },
    ...more,
  };
}

t.test("contenders alternate, and another begins each round", async (t) => {
  const seen: string[] = [];
  const rows = await runRounds(fakes, [probe(seen)], 3, options());
  t.same(seen, ["fast", "slow", "slow", "fast", "fast", "slow"]);
  const result: Result = { question: "Which is faster?", rounds: 3, rows };
  t.equal(
    JSON.stringify(result),
    '{"question":"Which is faster?","rounds":3,"rows":[' +
      '{"measure":"speed","unit":"m/s","better":"higher","values":{' +
      '"fast":{"median":4,"min":3,"max":5},"slow":{"median":2,"min":1,"max":9}}},' +
      '{"measure":"cost","unit":"s","better":"lower","values":{' +
      '"fast":{"median":40,"min":30,"max":50},"slow":{"median":20,"min":10,"max":90}}}]}',
  );
});

t.test("a contender that cannot do the job has no value", async (t) => {
  const rows = await runRounds(fakes, [probe([], { fits: ({ name }) => name === "fast" })], 1, options());
  t.same(
    rows.map(({ values }) => Object.keys(values)),
    [["fast"], ["fast"]],
  );
});

t.test("one failure is forgiven, two in a row are named", async (t) => {
  let runs = 0;
  const fails = (times: number): Probe<Fake> =>
    probe([], {
      run: async () => {
        if (++runs <= times) throw new Error("no answer");
        return [1, 1];
      },
    });
  await t.resolves(runRounds(fakes.slice(0, 1), [fails(1)], 1, options()));
  runs = 0;
  await t.rejects(runRounds(fakes, [fails(2)], 1, options()), {
    message: '"speed" of fast failed: no answer',
  });
});

t.test("an interruption ends the rounds and is not tried again", async (t) => {
  const stop = new AbortController();
  let runs = 0;
  const interrupted = probe([], {
    run: async () => {
      runs += 1;
      stop.abort(new Error("stopped"));
      throw new Error("killed");
    },
  });
  await t.rejects(runRounds(fakes, [interrupted], 3, { ...options(), signal: stop.signal }), {
    message: "stopped",
  });
  t.equal(runs, 1);
});
