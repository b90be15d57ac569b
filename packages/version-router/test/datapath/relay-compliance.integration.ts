/** The relay under the compliance suite, in a network namespace of its own, as kernel-compliance beside it. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { createRelayDataPath, probeRelayDataPath } from "../../datapath/relay/index.ts";
import { dataPathCompliance } from "./compliance.ts";

const INSIDE = "VMRL_COMPLIANCE_STATE";
const stateFile = process.env[INSIDE];
const probe = await probeRelayDataPath();

if (stateFile !== undefined) {
  const config = { uplink: "uplink", serviceAddress: "10.79.0.1", stateFile };
  t.test("the relay data path", async (t) => dataPathCompliance(t, () => createRelayDataPath(config)));
} else if (probe.ok) {
  const directory = mkdtempSync(join(tmpdir(), "vmrl-compliance-"));
  const namespace = `vmrl-${process.pid}-dp`;
  const sh = (command: string, ...words: string[]) => execFileSync(command, words, { stdio: "pipe" });
  sh("ip", "netns", "add", namespace);
  t.teardown(() => {
    sh("ip", "netns", "delete", namespace);
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
  const env = { ...process.env, [INSIDE]: join(directory, "state.json") };
  await t.spawn("nsenter", words, { env });
} else {
  t.plan(0, `needs the relay data path: ${probe.missing.map(({ what }) => what).join(", ")}`);
}
