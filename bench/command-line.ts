/** The words after `scripts/bench`. Pure. */
import { parseArgs } from "node:util";
import type { Bench } from "./harness/index.ts";

export interface Words {
  readonly name: string;
  readonly quick: boolean;
  readonly json: boolean;
  readonly record: boolean;
  readonly rounds: number | undefined;
}

export function help(benches: ReadonlyMap<string, Pick<Bench, "question">>): string {
  const names = [...benches].map(([name, { question }]) => `  ${name.padEnd(10)}${question}`);
  return `scripts/bench NAME [--quick] [--json] [--rounds N] [--record]

Each bench answers one question, with its competitors in the same run:
${names.join("\n")}

  --quick      the smallest size, about a minute; its figures are no more than a hint
  --json       the last line of standard output is one JSON object: question, rounds, rows
  --rounds N   so many rounds, 1 to 100
  --record     put the table into docs/BENCH.md, and the plots into docs/plots also when quick

Plots go to docs/plots. Progress goes to standard error. Exit status: 0 done, 1 failed, 2 wrong command line,
130 interrupted.

  scripts/bench router --quick     is the router as fast as the kernel? in a minute
  scripts/bench router --record    the same in full, into docs/BENCH.md
`;
}

/** Throws RangeError or TypeError with a sentence for people. */
export function parseWords(words: readonly string[], names: readonly string[]): Words | "help" {
  const { values, positionals } = parseArgs({
    args: [...words],
    allowPositionals: true,
    options: {
      quick: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
      record: { type: "boolean", default: false },
      rounds: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return "help";
  const [name, ...more] = positionals;
  if (name === undefined || more.length > 0)
    throw new RangeError(`Name one bench: ${names.join(", ")}. See --help.`);
  if (!names.includes(name)) {
    throw new RangeError(`There is no bench "${name}"; there are ${names.join(", ")}. See --help.`);
  }
  const rounds = values.rounds === undefined ? undefined : Number(values.rounds);
  if (rounds !== undefined && !(Number.isInteger(rounds) && rounds >= 1 && rounds <= 100)) {
    throw new RangeError(`--rounds is a whole number from 1 to 100, not ${values.rounds}.`);
  }
  return { name, quick: values.quick, json: values.json, record: values.record, rounds };
}
