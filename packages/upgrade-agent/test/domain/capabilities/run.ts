/** Joins the cases of a run of the compliance suite to capabilities, and leaves its record when it is asked for. */
import type { Test } from "tap";
import type { Hypervisor } from "../../../domain/hypervisor.ts";
import type { Capability } from "./list.ts";
import { Recorder, writeRecord } from "./record.ts";

export interface CapabilityCases {
  /** A case, which counts for this capability. */
  readonly test: (capability: Capability, title: string, body: (t: Test) => Promise<void>) => void;
  /** Says in the table why there is no case. */
  readonly notApplicable: (capability: Capability, reason: string) => void;
}

/**
 * `COMPLIANCE_RECORDS` names the directory of the record, `COMPLIANCE_HOST` says what the machine is when it is not the
 * one that people sit at, for example "emulated machine with SVM". Subjects without versions leave none.
 */
export function recorderOf(
  t: Test,
  subject: {
    readonly hypervisor: Hypervisor;
    readonly versions?: () => Promise<Readonly<Record<string, string>>>;
  },
): CapabilityCases {
  const recorder = new Recorder();
  const ended: Promise<unknown>[] = [];
  const { COMPLIANCE_RECORDS: directory, COMPLIANCE_HOST: host = "here" } = process.env;
  t.teardown(async () => {
    await Promise.all(ended);
    if (directory === undefined || subject.versions === undefined) return;
    const date = new Date().toISOString().slice(0, 10);
    const versions = await subject.versions();
    writeRecord(directory, recorder.record({ hypervisor: subject.hypervisor.kind, date, versions, host }));
  });
  return {
    test: (capability, title, body) => {
      const results = t.test(title, body);
      ended.push(
        results.then((counts) =>
          recorder.add(capability, { pass: counts?.pass ?? 0, fail: counts?.fail ?? 1 }),
        ),
      );
    },
    notApplicable: (capability, reason) => recorder.notApplicable(capability, reason),
  };
}
