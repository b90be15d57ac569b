/**
 * What a run of the compliance suite found of one hypervisor: `docs/hypervisors/KIND.json`. With the environment
 * variable `COMPLIANCE_RECORDS` set to a directory every run leaves its record there; `scripts/test --record` does that
 * and writes docs/HYPERVISORS.md anew.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { CAPABILITIES } from "./list.ts";
import type { Capability } from "./list.ts";

/** Where the committed records lie. */
export const RECORDS = join(import.meta.dirname, "../../../../../docs/hypervisors");

const finding = z.discriminatedUnion("outcome", [
  z.strictObject({ outcome: z.literal("passed"), assertions: z.int().min(1) }),
  z.strictObject({ outcome: z.literal("failed"), assertions: z.int().min(0), failed: z.int().min(1) }),
  z.strictObject({ outcome: z.literal("not applicable"), reason: z.string().min(1).max(300) }),
]);
export type Finding = z.infer<typeof finding>;

const recordSchema = z.strictObject({
  format: z.literal(1),
  hypervisor: z.enum(["kvm", "qemu", "xen", "lxc"]),
  /** Day of the run. */
  date: z.iso.date(),
  /** What ran below: names, and their versions as the programs give them. */
  versions: z.record(z.string().regex(/^[A-Za-z]+$/), z.string().min(1).max(100)),
  /** "here", or what the machine with this hypervisor was itself. */
  host: z.string().min(1).max(200),
  capabilities: z.partialRecord(z.enum(Object.keys(CAPABILITIES) as Capability[]), finding),
});
export type ComplianceRecord = z.infer<typeof recordSchema>;

/** Of one run, collected while its tests end. */
export class Recorder {
  readonly #findings = new Map<Capability, Finding>();

  /** Several tests may belong to one capability: it has passed when all of them have. */
  add(capability: Capability, { pass, fail }: { readonly pass: number; readonly fail: number }): void {
    const before = this.#findings.get(capability);
    const [passedBefore, failedBefore] = before === undefined ? [0, 0] : countsOf(before);
    const assertions = passedBefore + failedBefore + pass + fail;
    // A test that asserted nothing has shown nothing.
    const failed = failedBefore + (pass + fail === 0 ? 1 : fail);
    this.#findings.set(
      capability,
      failed > 0 ? { outcome: "failed", assertions, failed } : { outcome: "passed", assertions },
    );
  }

  notApplicable(capability: Capability, reason: string): void {
    if (!this.#findings.has(capability))
      this.#findings.set(capability, { outcome: "not applicable", reason });
  }

  record(about: Pick<ComplianceRecord, "hypervisor" | "date" | "versions" | "host">): ComplianceRecord {
    const order = (Object.keys(CAPABILITIES) as Capability[]).filter((name) => this.#findings.has(name));
    const capabilities = Object.fromEntries(order.map((name) => [name, this.#findings.get(name)]));
    return recordSchema.parse({ format: 1, ...about, capabilities });
  }
}

function countsOf(finding: Finding): readonly [passed: number, failed: number] {
  if (finding.outcome === "not applicable") return [0, 0];
  const failed = finding.outcome === "failed" ? finding.failed : 0;
  return [finding.assertions - failed, failed];
}

export function writeRecord(directory: string, record: ComplianceRecord): void {
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, `${record.hypervisor}.json`), `${JSON.stringify(record, null, 2)}\n`);
}

/** Sorted by name. Throws when one of them is none. */
export function readRecords(directory: string): ComplianceRecord[] {
  const files = readdirSync(directory).filter((name) => name.endsWith(".json"));
  return files
    .toSorted()
    .map((name) => recordSchema.parse(JSON.parse(readFileSync(join(directory, name), "utf8"))));
}
