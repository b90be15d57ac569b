/**
 * The kernel's data path under the compliance suite. The data path works in the network namespace of its process, so
 * this file runs itself once more inside one that it makes.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { createKernelDataPath, probeKernelDataPath } from "../../datapath/kernel/index.ts";
import { dataPathCompliance } from "./compliance.ts";

const INSIDE = "VMRD_COMPLIANCE_PINS";
const pinDirectory = process.env[INSIDE];
const probe = await probeKernelDataPath();

if (pinDirectory !== undefined) {
  const config = { uplink: "uplink", serviceAddress: "10.79.0.1", pinDirectory };
  t.test("the kernel data path", async (t) => dataPathCompliance(t, () => createKernelDataPath(config)));
} else if (probe.ok) {
  const directory = mkdtempSync(join(tmpdir(), "vmrd-compliance-"));
  const bpffs = join(directory, "bpf");
  const namespace = `vmrd-${process.pid}-dp`;
  const sh = (command: string, ...words: string[]) => execFileSync(command, words, { stdio: "pipe" });
  mkdirSync(bpffs);
  sh("mount", "-t", "bpf", "bpf", bpffs);
  sh("ip", "netns", "add", namespace);
  t.teardown(() => {
    sh("ip", "netns", "delete", namespace);
    sh("umount", bpffs);
    rmSync(directory, { recursive: true });
  });
  sh("ip", "-n", namespace, "link", "add", "uplink", "type", "veth", "peer", "name", "wire");
  sh("ip", "-n", namespace, "address", "add", "10.79.0.1/24", "dev", "uplink");
  sh("ip", "-n", namespace, "link", "set", "uplink", "up");
  const words = [
    `--net=/run/netns/${namespace}`,
    process.execPath,
    ...process.execArgv,
    import.meta.filename,
  ];
  const env = { ...process.env, [INSIDE]: join(bpffs, "pins") };
  await t.spawn("nsenter", words, { env });
} else {
  t.plan(0, `needs the kernel data path: ${probe.missing.map(({ what }) => what).join(", ")}`);
}
