/**
 * A node of a testbed on a machine that Xen runs: Xen makes the guests' interfaces in the machine's own network
 * namespace, and the node's view of /proc lacks what Xen's first domain has there.
 */
import { execFileSync } from "node:child_process";
import { copyFileSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Xen's tools run it for each interface, in the node, with the interface's name in $vif. */
const SCRIPT = "/etc/xen/scripts/vif-bridge";

/** Descriptor of the machine's network namespace that a node's first process inherits, and holds. */
export const MACHINE_NETWORK_FD = 3;

export function runsUnderXen(): boolean {
  try {
    return readFileSync("/proc/xen/capabilities", "utf8").includes("control_d");
  } catch {
    return false;
  }
}

/** What a node's first process inherits after its standard streams. */
export function inheritedByNode(): readonly number[] {
  return runsUnderXen() ? [openSync("/proc/self/ns/net", "r")] : [];
}

/** Fetches the interface into the caller's network namespace; then what Xen's own script does, by its own name. */
function fetching(original: string): string {
  const fetch = `nsenter --net=/proc/1/fd/${MACHINE_NETWORK_FD} ip link set dev "$vif" netns $$`;
  return `#!/bin/bash\n${fetch} 2>/dev/null\n. '${original}'\n`;
}

/** In the node's mount namespace, after its /proc. `directory` is the node's own. */
export function mountXen(directory: string): void {
  execFileSync("mount", ["-t", "xenfs", "xenfs", "/proc/xen"]);
  const [original, script] = [join(directory, "vif-bridge.xen"), join(directory, "vif-bridge")];
  copyFileSync(SCRIPT, original);
  writeFileSync(script, fetching(original), { mode: 0o755 });
  execFileSync("mount", ["--bind", script, SCRIPT]);
}
