/**
 * A libvirtd of one's own, in namespaces of its own: for tests and for trying things, beside any other on the machine.
 * Nodes of a testbed do the same with more around it; they share `config.ts` with this file.
 */
import { spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { createGroup, listGroups, processesOf, removeGroup } from "../cgroups.ts";
import { run } from "../command.ts";
import { TestbedError } from "../errors.ts";
import { killAll, namespacePids } from "../processes.ts";
import {
  LIBVIRT_DIRECTORIES,
  LIBVIRT_SOCKET,
  LIBVIRTD_PID_FILE,
  libvirtdCommand,
  writeLibvirtHome,
} from "./config.ts";

/** Milliseconds to the first answer: the first start probes QEMU, 2 s on a quiet machine, 12 s on a busy one. */
const START_TIMEOUT_MS = 90_000;

export interface PrivateLibvirtd {
  /** Socket as the caller sees it. */
  readonly socket: string;
  /** Prefix of commands that shall run where libvirtd runs: `[...enter, "ip", "link"]`. */
  readonly enter: readonly string[];
  /** Kills libvirtd; the domains go on, and within a second it is started again. Resolves when it listens again. */
  restart(): Promise<void>;
  /** Kills it with all its domains and removes its control groups. The directory stays. */
  stop(): Promise<void>;
}

/** Joins the groups named first, then becomes the rest. */
const JOIN_GROUPS = 'for procs in $1; do echo $$ >"$procs"; done; shift; exec "$@"';

/**
 * Makes the view: own /sys with the control groups of this namespace (without the unified tree of a hybrid host, where
 * libvirt would find no controller), own directories at the default paths. Then restarts libvirtd whenever it ends.
 */
const SUPERVISE = `
root="$1"; shift
mount -t sysfs sysfs /sys
grep -v '^0::' /proc/self/cgroup >"$root/hierarchies" || true
if [ -s "$root/hierarchies" ]; then
  mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
  while IFS=: read -r _ names _; do
    at="/sys/fs/cgroup/\${names#name=}"
    mkdir "$at"
    case "$names" in name=*) mount -t cgroup -o "none,$names" cgroup "$at" ;; *) mount -t cgroup -o "$names" cgroup "$at" ;; esac
  done <"$root/hierarchies"
else
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
fi
for path in ${LIBVIRT_DIRECTORIES.join(" ")}; do mkdir -p "$path"; mount --bind "$root$path" "$path"; done
ip link set lo up
while :; do "$@" || true; sleep 0.2; done
`;

/**
 * Starts libvirtd below `root` (see `writeLibvirtHome`). `name` names its control group, at most 32 characters.
 * Throws E_TESTBED_NODE when it does not answer in time; nothing runs then.
 */
export async function startLibvirtd(options: {
  readonly root: string;
  readonly name: string;
  readonly capabilitiesFrom?: string;
}): Promise<PrivateLibvirtd> {
  const { root, name } = options;
  await mkdir(root, { recursive: true });
  await writeLibvirtHome(root, options.capabilitiesFrom);
  const groupFiles = await createGroup(name);
  const isolate = ["unshare", "--mount", "--propagation", "slave", "--net", "--cgroup", "--uts"];
  const reaped = ["--pid", "--fork", "--kill-child", "--mount-proc", "tini", "--"];
  const supervise = ["sh", "-ec", SUPERVISE, "supervise", root, ...libvirtdCommand()];
  const log = openSync(join(root, "libvirtd.log"), "a");
  const child = spawn(
    "sh",
    ["-ec", JOIN_GROUPS, "join", groupFiles.join(" "), ...isolate, ...reaped, ...supervise],
    { stdio: ["ignore", log, log], cwd: "/", detached: true },
  );
  closeSync(log);
  child.unref();
  const socket = join(root, LIBVIRT_SOCKET);
  const stop = (): Promise<void> => stopGroup(name);
  try {
    await listening(socket, START_TIMEOUT_MS);
    const first = await firstProcess(name);
    const enter = ["nsenter", "--target", String(first), "--mount", "--net", "--pid", "--"];
    return { socket, enter, stop, restart: () => restart(root, socket, enter) };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function restart(root: string, socket: string, enter: readonly string[]): Promise<void> {
  const pidFile = join(root, LIBVIRTD_PID_FILE);
  const pid = (await readFile(pidFile, "utf8")).trim();
  await run(["nsenter", ...enter.slice(1), "kill", "-9", pid]);
  for (let tries = 0; tries < 200; tries++) {
    await sleep(50);
    const now = (await readFile(pidFile, "utf8").catch(() => "")).trim();
    if (now !== "" && now !== pid) break;
  }
  await listening(socket, START_TIMEOUT_MS);
}

async function stopGroup(name: string): Promise<void> {
  const groups = (await listGroups(name)).filter((group) => group.endsWith(`/${name}`));
  await killAll(async () => (await Promise.all(groups.map((group) => processesOf(group)))).flat());
  for (const group of groups) await removeGroup(group);
}

/** Host PID of tini, the first process of the daemon's PID namespace. */
async function firstProcess(name: string): Promise<number> {
  const own = namespacePids(process.pid).length;
  for (const group of await listGroups(name)) {
    for (const pid of await processesOf(group)) {
      const pids = namespacePids(pid);
      if (pids.length === own + 1 && pids.at(-1) === 1) return pid;
    }
  }
  throw new TestbedError("E_TESTBED_NODE", `The private libvirtd ${name} has ended; see its libvirtd.log.`);
}

/** Resolves when something accepts connections at `socket`. */
async function listening(socket: string, timeoutMs: number): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const accepted = await new Promise<boolean>((resolve) => {
      const probe = connect(socket, () => {
        probe.destroy();
        resolve(true);
      });
      probe.once("error", () => resolve(false));
    });
    if (accepted) return;
    if (Date.now() > deadline) {
      throw new TestbedError(
        "E_TESTBED_NODE",
        `No libvirtd listens on ${socket} after ${timeoutMs} ms; see its log.`,
      );
    }
    await sleep(50);
  }
}
