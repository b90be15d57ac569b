/**
 * What libvirt forgets of a container when it is killed at the wrong moment: a controller process that it had just
 * started, and the control groups of either. After its restart nobody else knows of them any more. Where systemd keeps
 * the groups, there are none to find.
 */
import { readdir, readFile, readlink, rmdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** Where control groups are mounted: one hierarchy per controller below it, or one for all. */
const CGROUP_ROOT = "/sys/fs/cgroup";

/** Characters of a domain's name that its groups bear, libvirt's `VIR_DOMAIN_SHORT_NAME_MAX`. */
const SHORT_NAME_CHARS = 20;

/** Processes that were killed take a moment to vanish; a group that is still busy then stays. */
const TRIES = 50;
const PAUSE_MS = 100;

/**
 * Ends and removes what is left of the container, which must not be among libvirt's domains any more. `others` are the
 * names of all domains: one whose name begins alike has groups of the same name, so then groups are not touched.
 */
export async function removeForgotten(name: string, others: readonly string[]): Promise<void> {
  // First the controllers, because they make groups.
  await killUntilNone(() => controllersOf(name));
  const short = name.slice(0, SHORT_NAME_CHARS);
  if (others.some((other) => other.slice(0, SHORT_NAME_CHARS) === short)) return;
  for (const group of await groupsOf(short)) {
    await killUntilNone(() => processesOf(group));
    await removeTree(group);
  }
}

async function killUntilNone(find: () => Promise<readonly number[]>): Promise<void> {
  for (let tries = 1; tries <= TRIES; tries++) {
    const pids = await find();
    if (pids.length === 0) return;
    for (const pid of pids) kill(pid);
    await sleep(PAUSE_MS);
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

/** `libvirt_lxc --name NAME …` in our own PID namespace: another libvirtd's, as in tests, is none of our business. */
async function controllersOf(name: string): Promise<number[]> {
  const own = await readlink("/proc/self/ns/pid");
  const found: number[] = [];
  for (const pid of (await directories("/proc")).filter((entry) => /^\d+$/.test(entry))) {
    const words = (await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")).split("\0");
    if (words[0]?.endsWith("/libvirt_lxc") !== true || words[words.indexOf("--name") + 1] !== name) continue;
    if ((await readlink(`/proc/${pid}/ns/pid`).catch(() => "")) === own) found.push(Number(pid));
  }
  return found;
}

/** Named `lxc-<id>-<short name>.libvirt-lxc`, in every hierarchy. */
async function groupsOf(short: string): Promise<string[]> {
  const hierarchies = [
    CGROUP_ROOT,
    ...(await directories(CGROUP_ROOT)).map((name) => join(CGROUP_ROOT, name)),
  ];
  const found = hierarchies.map(async (hierarchy) => {
    const machine = join(hierarchy, "machine");
    const named = (group: string): string | undefined => /^lxc-\d+-(.*)\.libvirt-lxc$/.exec(group)?.[1];
    return (await directories(machine))
      .filter((group) => named(group) === short)
      .map((group) => join(machine, group));
  });
  return (await Promise.all(found)).flat();
}

async function processesOf(group: string): Promise<number[]> {
  const own = (await readFile(join(group, "cgroup.procs"), "utf8").catch(() => "")).split("\n");
  const below = (await directories(group)).map((child) => processesOf(join(group, child)));
  return [...own.filter((pid) => pid !== "").map(Number), ...(await Promise.all(below)).flat()];
}

async function removeTree(path: string): Promise<void> {
  for (const below of await directories(path)) await removeTree(join(path, below));
  for (let tries = 1; tries <= TRIES; tries++) {
    try {
      return await rmdir(path);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "ENOENT") return;
      if (code !== "EBUSY") throw error;
      await sleep(PAUSE_MS);
    }
  }
}

async function directories(path: string): Promise<string[]> {
  const entries = await readdir(path, { withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
}
