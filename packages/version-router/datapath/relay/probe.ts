/** Finds out whether this machine can carry the relay, and what would mend it. */
import { access, constants } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { run } from "../kernel/command.ts";
import type { Missing, ProbeResult } from "../kernel/probe.ts";

const TOOLS: readonly (readonly [tool: string, debianPackage: string])[] = [
  ["ip", "iproute2"],
  ["nft", "nftables"],
];

/** What the relay's rules are made of, on an interface that is everywhere. The kernel checks it and forgets it. */
const TRIAL = `
table netdev version_manager_trial {
  chain ingress {
    type filter hook ingress device "lo" priority 0
    ip saddr set 169.254.128.1 accept
  }
}
table ip version_manager_trial {
  chain prerouting {
    type filter hook prerouting priority mangle
    socket transparent 1 meta mark set 1 accept
    meta l4proto { tcp, udp } meta mark set 1 tproxy to 127.0.0.1:1 accept
  }
  chain source {
    type nat hook postrouting priority srcnat
    masquerade
  }
}
`;

/** Looks only; changes nothing. Works without root (and then says that root is missing). */
export async function probeRelayDataPath(): Promise<ProbeResult> {
  const missing: Missing[] = [];
  if (process.getuid?.() !== 0) missing.push({ what: "root", mend: "run it as root" });
  for (const [tool, debianPackage] of TOOLS) {
    if (!(await isOnPath(tool)))
      missing.push({ what: `the command ${tool}`, mend: `apt-get install ${debianPackage}` });
  }
  if (!(await exists("/dev/net/tun"))) missing.push({ what: "/dev/net/tun", mend: "modprobe tun" });
  if (missing.length === 0 && !(await takesRules())) {
    const mend = "boot a kernel with CONFIG_NFT_TPROXY, CONFIG_NFT_SOCKET and CONFIG_NF_TABLES_NETDEV";
    missing.push({ what: "TPROXY in nftables", mend });
  }
  return { ok: missing.length === 0, missing };
}

async function takesRules(): Promise<boolean> {
  try {
    await run("nft", ["--check", "-f", "-"], TRIAL);
    return true;
  } catch {
    return false;
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path, constants.R_OK);
    return true;
  } catch {
    return false;
  }
}

async function isOnPath(tool: string): Promise<boolean> {
  const directories = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/sbin"];
  for (const directory of directories) {
    if (await exists(join(directory, tool))) return true;
  }
  return false;
}
