/** `scripts/bench`: runs one bench, prints its table, and with --json its result as the last line. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { help, parseWords } from "./command-line.ts";
import type { Words } from "./command-line.ts";
import type { Bench } from "./harness/index.ts";
import { machine, recordTable, writePlots } from "./publish.ts";

const here = import.meta.dirname;

/** Every directory beside this file whose index exports a bench. */
async function findBenches(): Promise<ReadonlyMap<string, Bench>> {
  const found = new Map<string, Bench>();
  for (const name of readdirSync(here).toSorted()) {
    const file = join(here, name, "index.js");
    if (!existsSync(file)) continue;
    const { bench } = (await import(file)) as { readonly bench?: Bench };
    if (bench !== undefined) found.set(name, bench);
  }
  return found;
}

/** With a wrong command line prints what is wrong with it, and sets the exit status to 2. */
async function choose(): Promise<{ readonly words: Words; readonly bench: Bench } | undefined> {
  const benches = await findBenches();
  try {
    const words = parseWords(process.argv.slice(2), [...benches.keys()]);
    const bench = words === "help" ? undefined : benches.get(words.name);
    if (words !== "help" && bench !== undefined) return { words, bench };
    process.stdout.write(help(benches));
  } catch (error) {
    complain(error);
    process.exitCode = 2;
  }
  return undefined;
}

async function main(interrupted: AbortSignal): Promise<void> {
  const chosen = await choose();
  if (chosen === undefined) return;
  const { words, bench } = chosen;
  const say = (line: string): void => void process.stderr.write(`${line}\n`);
  say(bench.question);
  const { quick, rounds } = words;
  const report = await bench.run({ quick, rounds, signal: interrupted, say });
  process.stdout.write(`${bench.question}\n${machine()}; ${report.result.rounds} rounds\n\n${report.text}\n`);
  if (words.record) say(`wrote ${recordTable(words.name, report, new Date().toISOString().slice(0, 10))}`);
  if (words.record || !quick) for (const file of writePlots(report.plots)) say(`wrote ${file}`);
  if (words.json) process.stdout.write(`${JSON.stringify(report.result)}\n`);
}

function complain(error: unknown): void {
  process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n`);
}

const interruption = new AbortController();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(signal, () => interruption.abort(new Error(`stopped by ${signal}`)));
}
// As in "scripts/bench … | head": a bench that nobody listens to still cleans up.
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error) => interruption.abort(error));
}
try {
  await main(interruption.signal);
} catch (error) {
  complain(error);
  process.exitCode = interruption.signal.aborted ? 130 : 1;
}
