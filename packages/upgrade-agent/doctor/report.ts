/** The doctor's report, for programs and for people. Pure. */
import type { Check } from "./checks.ts";

export interface Report {
  /** Every required check is well. */
  readonly ok: boolean;
  readonly checks: readonly Check[];
}

export function reportOf(checks: readonly Check[]): Report {
  return { ok: checks.every((check) => check.ok || !check.required), checks };
}

/** How a line is painted; without it text stays plain. */
export interface Paint {
  readonly good: (text: string) => string;
  readonly bad: (text: string) => string;
  readonly advice: (text: string) => string;
}

const PLAIN: Paint = { good: (text) => text, bad: (text) => text, advice: (text) => text };

/** One line per check, and below each that failed what was needed and what mends it. */
export function reportLines(report: Report, paint: Paint = PLAIN): string[] {
  const width = Math.max(...report.checks.map((check) => check.name.length));
  const lines: string[] = [];
  for (const { name, ok, required, needed, found, mend, code } of report.checks) {
    const word = ok ? paint.good("ok    ") : required ? paint.bad("FAILED") : paint.advice("advice");
    lines.push(`${word}  ${name.padEnd(width)}  ${found}${code === undefined ? "" : `  [${code}]`}`);
    if (ok) continue;
    const indent = " ".repeat(8 + width + 2);
    lines.push(`${indent}needed: ${needed}`);
    if (mend !== undefined) lines.push(`${indent}mend:   ${mend}`);
  }
  const failed = report.checks.filter((check) => !check.ok && check.required).length;
  lines.push(
    "",
    failed === 0 ? "This machine has all that is needed." : `${failed} of the things needed are missing.`,
  );
  return lines;
}
