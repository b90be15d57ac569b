/** What this machine lacks, and the command that mends it. */
import { judge } from "./checks.ts";
import { gather } from "./gather.ts";
import type { GatherOptions } from "./gather.ts";
import { reportOf } from "./report.ts";
import type { Report } from "./report.ts";

export type { Check } from "./checks.ts";
export type { Purpose } from "./facts.ts";
export type { GatherOptions } from "./gather.ts";
export { reportLines } from "./report.ts";
export type { Paint, Report } from "./report.ts";

/** Never throws for what it finds. */
export async function runDoctor(options: GatherOptions = {}): Promise<Report> {
  return reportOf(judge(await gather(options)));
}
