/**
 * A node of a testbed on a machine that Xen runs: Xen makes the guests' interfaces in the machine's own network
 * namespace, the node's view of /proc lacks what Xen's first domain has there, and guests outlive the node's processes.
 */
import { execFileSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { runAny } from "../command.ts";

/** Xen's tools run it for each interface, in the node, with the interface's name in $vif. */
const SCRIPT = "/etc/xen/scripts/vif-bridge";

/** Descriptor of the machine's network namespace that a node's first process inherits, and holds. */
const MACHINE_NETWORK_FD = 3;

export function runsUnderXen(): boolean {
  try {
    return readFileSync("/proc/xen/capabilities", "utf8").includes("control_d");
  } catch {
    return false;
  }
}

/** Xen's tools give up on a script of theirs after 40 s: on a slow machine they go before all that a node runs else. */
const FIRST = ["nice", "-n", "-15"] as const;

/** The command line of a node's libvirtd, which runs Xen's tools. */
export function libvirtdUnderXen(command: readonly string[]): readonly string[] {
  return runsUnderXen() ? [...FIRST, ...command] : command;
}

/** What a node's first process inherits after its standard streams. */
export function inheritedByNode(): readonly number[] {
  return runsUnderXen() ? [openSync("/proc/self/ns/net", "r")] : [];
}

/** Fetches the interface into the caller's network namespace; then what Xen's own script does, by its own name. */
function fetchingScript(original: string): string {
  const fetch = `nsenter --net=/proc/1/fd/${MACHINE_NETWORK_FD} ip link set dev "$vif" netns $$`;
  return `#!/bin/bash\n${fetch} 2>/dev/null\n. '${original}'\n`;
}

/** In the node's mount namespace, after its /proc. `directory` is the node's own. */
export function mountXen(directory: string): void {
  execFileSync("mount", ["-t", "xenfs", "xenfs", "/proc/xen"]);
  const [original, script] = [join(directory, "vif-bridge.xen"), join(directory, "vif-bridge")];
  copyFileSync(SCRIPT, original);
  writeFileSync(script, fetchingScript(original), { mode: 0o755 });
  execFileSync("mount", ["--bind", script, SCRIPT]);
}

/** Number of the guest whose interface this is. */
export function guestOf(interfaceName: string): number | undefined {
  const number = /^vif(\d+)\.\d+$/.exec(interfaceName)?.[1];
  return number === undefined ? undefined : Number(number);
}

/**
 * Destroys the guests whose interfaces are in a node's network, once nothing of the node runs. Xen would end a guest's
 * disk program by its number, which is one of the node's own and may be another process' here: so it is told of none.
 */
export async function destroyGuests(interfaceNames: readonly string[]): Promise<void> {
  const guests = new Set(interfaceNames.map(guestOf).filter((guest) => guest !== undefined));
  for (const guest of guests) {
    await runAny(["xenstore-rm", `/local/domain/${guest}/image/device-model-pid`]);
    await runAny(["xl", "destroy", `${guest}`]);
  }
}

/** Where the product leads the guests' consoles to its own logs. */
const CONSOLES = "/var/log/xen/console";

/** Removes the ways of consoles to logs below `directory`, a testbed's; `consoles` is another place of them. */
export function removeConsoles(directory: string, consoles = CONSOLES): void {
  for (const name of existsSync(consoles) ? readdirSync(consoles) : []) {
    const path = join(consoles, name);
    if (lstatSync(path).isSymbolicLink() && readlinkSync(path).startsWith(`${directory}/`)) unlinkSync(path);
  }
}
