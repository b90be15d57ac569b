/**
 * Real KVM, where there is none: an emulated machine (TCG) whose processor has SVM, with kvm-amd and a libvirtd of its
 * own. The probe, the compliance suite and one whole upgrade run in it. Half an hour on two cores; needs root and 6 GiB.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { readRecords } from "../domain/capabilities/record.ts";
import { missing, storeIn } from "../image/needs.ts";
import type { Report } from "../whole/demonstration.ts";
import { startHost } from "./host/machine.ts";
import type { Host } from "./host/machine.ts";
import { imageTrees, repositoryTree } from "./host/payload.ts";
import { keepRecord, reportInside } from "./host/report.ts";
import { buildRoot, hostPackages } from "./host/root.ts";

t.setTimeout(3_600_000);

const skip = missing("mmdebstrap", "qemu-system-x86_64", "qemu-img", "ssh", "mke2fs", "setpriv");

const modules = [
  "kvm_amd",
  "fuse",
  "tun",
  "veth",
  "bridge",
  "nf_tables",
  "sch_ingress",
  "cls_bpf",
  "act_bpf",
];

/** With the base image of this machine, so that the one inside builds none. */
async function start(directory: string, onProgress: (step: string) => void): Promise<Host> {
  const root = await buildRoot({ packages: hostPackages, onProgress });
  const base = await storeIn(directory).build({ onProgress });
  const payload = [repositoryTree(), ...imageTrees(base)];
  const size = { cpu: "EPYC", vcpus: 2, memoryMiB: 5_120 };
  return startHost({ name: "kvm", root, payload, ...size, modules, onProgress });
}

t.test("a machine with real KVM", { skip }, async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "itk-"));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const host = await start(directory, (step) => t.comment(step));
  t.teardown(() => host.stop());

  await t.test("it has SVM and /dev/kvm", async (t) => {
    const { output } = await host.run("grep -o -m1 -w svm /proc/cpuinfo; ls /dev/kvm; uname -r", {
      timeoutMs: 60_000,
    });
    t.match(output, /^svm\n\/dev\/kvm\n/);
    t.comment(output);
  });

  await t.test("probe, doctor and compliance suite", async (t) => {
    const { output: base } = await host.run("dirname /var/cache/version-manager/images/*/vmlinux", {
      timeoutMs: 60_000,
    });
    await reportInside(t, host, "packages/upgrade-agent/test/nested/inside/kvm.ts", base);
    await keepRecord(host, "kvm", directory);
    const record = readRecords(process.env["COMPLIANCE_RECORDS"] ?? directory).find(
      ({ hypervisor }) => hypervisor === "kvm",
    );
    t.ok(Object.keys(record?.capabilities ?? {}).length > 5, "the record is here");
  });

  await t.test("a live upgrade of two nodes", async (t) => {
    const words = "--json --hypervisor kvm --nodes 2 --rate 4";
    const command = `cd /repository && node scripts/dist/demonstration/main.js ${words}`;
    const onLine = (line: string): void => t.comment(line);
    const { status, output } = await host.run(command, { timeoutMs: 3_000_000, onLine });
    t.equal(status, 0, "the demonstration succeeds");
    const line = output.split("\n").find((text) => text.startsWith("{")) ?? "null";
    const report = JSON.parse(line) as Report | null;
    t.match(report, { hypervisor: "kvm", nodes: 2, upgraded: 2, failed: 0 });
    t.ok((report?.requests ?? 0) > 100, `${report?.requests} requests`);
    t.ok(report?.isolation.every((proof) => proof.onlyItsOwnKind));
    t.ok(report?.verified.every(({ facts }) => facts.keys > 10 && facts.failed === 0));
  });
});
