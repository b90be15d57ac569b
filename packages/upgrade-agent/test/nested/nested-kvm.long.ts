/**
 * Real KVM, where there is none: the probe, doctor and the compliance suite in an emulated machine (TCG) whose processor
 * has SVM. Ten minutes on two cores; needs root and 6 GiB.
 */
import t from "tap";
import { readRecords } from "../domain/capabilities/record.ts";
import { skip, startKvmHost } from "./host/kvm.ts";
import { keepRecord, reportInside } from "./host/report.ts";

t.setTimeout(3_600_000);

t.test("a machine with real KVM", { skip }, async (t) => {
  const { host, directory } = await startKvmHost(t);
  const look = (command: string): Promise<string> =>
    host.run(command, { timeoutMs: 120_000 }).then(({ output }) => output);

  await t.test("it has SVM and /dev/kvm", async (t) => {
    const seen = await look("grep -o -m1 -w svm /proc/cpuinfo; ls /dev/kvm; uname -r");
    t.match(seen, /^svm\n\/dev\/kvm\n/);
    t.comment(seen);
  });

  await t.test("probe, doctor and compliance suite", async (t) => {
    const base = await look("dirname /var/cache/version-manager/images/*/vmlinux");
    await reportInside(t, host, "packages/upgrade-agent/test/nested/inside/kvm.ts", base);
    const records = await keepRecord(host, "kvm", directory);
    const record = readRecords(records).find(({ hypervisor }) => hypervisor === "kvm");
    t.ok(Object.keys(record?.capabilities ?? {}).length > 10, "its record is here");
  });
});
