/** Tests that run inside an emulated machine, reported outside: each assertion in there is one out here. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Test } from "tap";
import type { Host } from "./machine.ts";

/** Ms that one file may take inside. */
const fileTimeoutMs = 3_000_000;

/** Where the record of a hypervisor's capabilities lies inside, see `domain/capabilities/run.ts`. */
const recordsInside = "/tmp/records";

/** What the table says of the machine. */
const described = "emulated machine (QEMU, TCG)";

/** Runs a file of the repository by plain Node inside; fails when it fails, or when SSH does. */
export async function reportInside(
  t: Test,
  host: Host,
  file: string,
  ...words: readonly string[]
): Promise<void> {
  const environment = `COMPLIANCE_RECORDS=${recordsInside} COMPLIANCE_HOST='${described}'`;
  const command = `cd /repository && ${environment} node ${file} ${words.join(" ")}`;
  await t.spawn("ssh", host.ssh(command), { timeout: fileTimeoutMs }, file);
}

/**
 * Takes the record out, to where `scripts/test --record` wants it or else to `directory`; answers where it is. Throws
 * when there is none.
 */
export async function keepRecord(host: Host, kind: "kvm" | "xen", directory: string): Promise<string> {
  const { COMPLIANCE_RECORDS: records = directory } = process.env;
  mkdirSync(records, { recursive: true });
  await host.copyOut(`${recordsInside}/${kind}.json`, join(records, `${kind}.json`));
  return records;
}
