/** Finds out whether this machine can carry the eBPF data path, and what would mend it. */
import { access, constants } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { BPF_OBJECT } from "./object-file.ts";

export interface Missing {
  readonly what: string;
  /** The command or step that mends it. */
  readonly mend: string;
}

export interface ProbeResult {
  readonly ok: boolean;
  readonly missing: readonly Missing[];
}

const TOOLS: readonly (readonly [tool: string, debianPackage: string])[] = [
  ["ip", "iproute2"],
  ["tc", "iproute2"],
  ["bpftool", "bpftool"],
  ["nft", "nftables"],
];

/** Looks only; changes nothing. Works without root (and then says that root is missing). */
export async function probeKernelDataPath(): Promise<ProbeResult> {
  const missing: Missing[] = [];
  const want = async (isThere: boolean | Promise<boolean>, what: string, mend: string): Promise<void> => {
    if (!(await isThere)) missing.push({ what, mend });
  };
  await want(process.getuid?.() === 0, "root", "run it as root");
  for (const [tool, debianPackage] of TOOLS) {
    await want(isOnPath(tool), `the command ${tool}`, `apt-get install ${debianPackage}`);
  }
  await want(exists(BPF_OBJECT), "the compiled eBPF programs", "npm run build:bpf");
  await want(
    exists("/sys/kernel/btf/vmlinux"),
    "kernel type information (BTF)",
    "boot a kernel with CONFIG_DEBUG_INFO_BTF",
  );
  await want(exists("/dev/net/tun"), "/dev/net/tun", "modprobe tun");
  await want(exists("/sys/fs/bpf"), "the mount point /sys/fs/bpf", "boot a kernel with CONFIG_BPF_SYSCALL");
  return { ok: missing.length === 0, missing };
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
