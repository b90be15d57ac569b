/** The table of docs/HYPERVISORS.md, hypervisor × capability, made from the records of runs. Pure. */
import type { HypervisorKind } from "../../../domain/hypervisor.ts";
import { CAPABILITIES } from "./list.ts";
import type { Capability } from "./list.ts";
import type { ComplianceRecord } from "./record.ts";

const [BEGIN, END] = ["<!-- capabilities: written by scripts/test --record -->", "<!-- end capabilities -->"];

const KINDS: readonly HypervisorKind[] = ["kvm", "xen", "qemu", "lxc"];

/** The page with its table replaced. Throws RangeError when it has no place for one. */
export function withTable(page: string, records: readonly ComplianceRecord[]): string {
  const [from, to] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (from < 0 || to < from) throw new RangeError(`The page has no lines "${BEGIN}" and "${END}".`);
  return `${page.slice(0, from)}${BEGIN}\n\n${section(records)}\n\n${page.slice(to)}`;
}

function section(records: readonly ComplianceRecord[]): string {
  const columns = KINDS.map((kind) => records.find((record) => record.hypervisor === kind));
  const reasons: string[] = [];
  const rows = (Object.keys(CAPABILITIES) as Capability[]).map((capability) => [
    capability,
    ...columns.map((record) => cell(record, capability, reasons)),
  ]);
  const runs = columns.flatMap((record) => (record === undefined ? [] : [runOf(record)]));
  const meaning = Object.entries(CAPABILITIES).map(([name, sentence]) => `- **${name}**: ${sentence}.`);
  const notes = reasons.map((reason, at) => `${at + 1}. ${reason}`);
  return [
    table([["capability", ...KINDS.map((kind) => `\`${kind}\``)], ...rows]),
    ...(notes.length === 0 ? [] : [notes.join("\n")]),
    "The runs:",
    table([["hypervisor", "day", "where", "versions", "assertions"], ...runs]),
    meaning.join("\n"),
  ].join("\n\n");
}

function cell(record: ComplianceRecord | undefined, capability: Capability, reasons: string[]): string {
  const finding = record?.capabilities[capability];
  if (finding === undefined) return "not run";
  if (finding.outcome === "passed") return "yes";
  if (finding.outcome === "failed") return `**FAILED** (${finding.failed} of ${finding.assertions})`;
  if (!reasons.includes(finding.reason)) reasons.push(finding.reason);
  return `no (${reasons.indexOf(finding.reason) + 1})`;
}

function runOf(record: ComplianceRecord): readonly string[] {
  const versions = Object.entries(record.versions).map(([name, version]) => `${name} ${version}`);
  const counts = Object.values(record.capabilities).map((finding) =>
    finding.outcome === "not applicable" ? 0 : finding.assertions,
  );
  const total = counts.reduce((sum, count) => sum + count, 0);
  return [`\`${record.hypervisor}\``, record.date, record.host, versions.join(", "), String(total)];
}

/** As prettier aligns it: the first row is the head. */
function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((text, column) => text.padEnd(widths[column] ?? 0)).join(" | ")} |`;
  const [head = [], ...body] = rows;
  return [line(head), line(widths.map((width) => "-".repeat(width))), ...body.map(line)].join("\n");
}
