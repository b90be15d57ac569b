/**
 * Turns a fresh mount namespace into a node's view of the machine: private directories over the default paths, its own
 * /sys with the node's control groups and its own bpffs, its own host names. All of it vanishes with the namespace.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { InitConfig } from "./contract.ts";
import { mountXen } from "./xen.ts";

function mount(...args: string[]): void {
  execFileSync("mount", args, { stdio: ["ignore", "ignore", "pipe"] });
}

/** Which v1 hierarchies there are, as options to mount each. */
function v1Hierarchies(): string[] {
  const lines = readFileSync("/proc/self/cgroup", "utf8").trim().split("\n");
  return lines.map((line) => line.split(":")[1] ?? "").filter((controllers) => controllers !== "");
}

/** With hybrid control groups the unified tree is left out: libvirt would put containers where no controller is. */
function mountControlGroups(unified: boolean): void {
  const root = "/sys/fs/cgroup";
  if (unified) return mount("-t", "cgroup2", "cgroup2", root);
  mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", root);
  for (const options of v1Hierarchies()) {
    const directory = options.replace(/^name=/, "");
    mkdirSync(join(root, directory));
    const which = options.startsWith("name=") ? `none,${options}` : options;
    mount("-t", "cgroup", "-o", which, "cgroup", join(root, directory));
    const parts = directory.split(",");
    if (parts.length > 1) for (const part of parts) symlinkSync(directory, join(root, part));
  }
}

/**
 * The host's systemd and message bus are not the node's: libvirtd would ask them to make machines of processes that it
 * knows by the node's PIDs. With nothing there it does the work itself.
 */
const HIDDEN_DIRECTORIES = ["/run/dbus", "/run/systemd"];

export function mountNode(config: InitConfig): void {
  mount("-t", "sysfs", "sysfs", "/sys");
  mountControlGroups(config.unifiedControlGroups);
  mount("-t", "bpf", "bpf", "/sys/fs/bpf");
  for (const path of config.privateDirectories) mount("--bind", join(config.directory, path), path);
  for (const path of HIDDEN_DIRECTORIES)
    if (existsSync(path)) mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", path);
  if (config.underXen) mountXen(config.directory);
  mount("--bind", config.hosts, "/etc/hosts");
  writeFileSync("/proc/sys/kernel/hostname", config.node);
}
