/** Where results go: plots into docs/plots, tables into docs/BENCH.md between markers of their bench. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";
import { join } from "node:path";
import type { Plot, Report } from "./harness/index.ts";

const docs = join(import.meta.dirname, "../../docs");

/** Processors, memory and kernel: figures mean little without. Says nothing that names the machine. */
export function machine(): string {
  const gib = Math.round(totalmem() / 2 ** 30);
  const kernel = release().split(/[-+]/)[0] ?? "";
  return `${cpus().length} processors (${cpus()[0]?.model.trim() ?? "unknown"}), ${gib} GiB, Linux ${kernel}`;
}

/** Returns the files written, relative to the repository. */
export function writePlots(plots: readonly Plot[]): readonly string[] {
  mkdirSync(join(docs, "plots"), { recursive: true });
  return plots.map(({ file, svg }) => {
    writeFileSync(join(docs, "plots", file), svg);
    return `docs/plots/${file}`;
  });
}

/** Replaces what stands between the markers of this bench in docs/BENCH.md. Returns the file. */
export function recordTable(name: string, report: Report, today: string): string {
  const file = join(docs, "BENCH.md");
  writeFileSync(file, replaceBetweenMarkers(readFileSync(file, "utf8"), name, section(report, today)));
  return "docs/BENCH.md";
}

function section({ result, text, plots }: Report, today: string): string {
  const images = plots.map(({ file }) => `![${result.question}](plots/${file})`);
  const head = `Measured on ${today}: ${machine()}; ${result.rounds} round${result.rounds === 1 ? "" : "s"}.`;
  return [head, `\`\`\`text\n${text.trimEnd()}\n\`\`\``, ...images].join("\n\n");
}

/** Throws RangeError when the document has no such markers. */
export function replaceBetweenMarkers(document: string, name: string, content: string): string {
  const [begin, end] = [`<!-- bench ${name} -->`, `<!-- end ${name} -->`];
  const from = document.indexOf(begin);
  const to = document.indexOf(end);
  if (from < 0 || to < from) {
    throw new RangeError(
      `docs/BENCH.md has no lines "${begin}" and "${end}"; add them where the table goes.`,
    );
  }
  return `${document.slice(0, from)}${begin}\n\n${content.trim()}\n\n${document.slice(to)}`;
}
