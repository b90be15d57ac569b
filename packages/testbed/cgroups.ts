/**
 * One control group per node in every hierarchy of the host. It becomes the root of the node's own cgroup namespace, so
 * that containers of two nodes never share a group, and it says for certain which processes belong to a testbed.
 */
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rmdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { TestbedError } from "./errors.ts";
import { killAll } from "./processes.ts";

const CGROUP_ROOT = "/sys/fs/cgroup";

/** Group of a node's services in the unified hierarchy, below the node's own. */
const SERVICES_LEAF = "services";

/** Controllers that libvirt wants to hand to its domains where the host has only the unified hierarchy. */
const UNIFIED_CONTROLLERS = ["cpu", "cpuset", "io", "memory", "pids"];

/** Where the hierarchies are mounted: each of cgroup v1, or the one of a host that has only v2. */
export async function hierarchies(): Promise<string[]> {
  const found: string[] = [];
  for (const line of (await readFile("/proc/self/mounts", "utf8")).split("\n")) {
    const [, target = "", type] = line.split(" ");
    if (type === "cgroup") found.push(target);
    if (type === "cgroup2" && target === CGROUP_ROOT) return [target];
  }
  return found.filter((path) => path.startsWith(`${CGROUP_ROOT}/`));
}

/** Whether the host has only cgroup v2. */
export async function isUnified(): Promise<boolean> {
  return (await hierarchies()).includes(CGROUP_ROOT);
}

/** Makes the group everywhere and returns the `cgroup.procs` files that a process must be written to. */
export async function createGroup(name: string): Promise<string[]> {
  const procs: string[] = [];
  for (const hierarchy of await hierarchies()) {
    const directory = join(hierarchy, name);
    await mkdir(directory, { recursive: true });
    if (hierarchy === CGROUP_ROOT) await delegateControllers(hierarchy);
    else await inheritCpuset(hierarchy, directory);
    procs.push(join(directory, "cgroup.procs"));
  }
  return procs;
}

/**
 * In the unified hierarchy, makes a leaf below the group for a node's services and returns its `cgroup.procs`; in v1
 * nothing. The node's group is the root of its namespace, and may hold no processes once libvirt has delegated
 * controllers from it: so a process enters the group, makes the namespace, and then steps down to the leaf.
 */
export async function createLeaf(name: string): Promise<string[]> {
  if (!(await isUnified())) return [];
  const leaf = join(CGROUP_ROOT, name, SERVICES_LEAF);
  await mkdir(leaf, { recursive: true });
  return [join(leaf, "cgroup.procs")];
}

/** The `cgroup.procs` files by which a process joins the services of a node that runs. */
export async function joinFiles(name: string): Promise<string[]> {
  const leaf = join(CGROUP_ROOT, name, SERVICES_LEAF);
  if (existsSync(leaf)) return [join(leaf, "cgroup.procs")];
  const groups = (await listGroups(name)).filter((group) => group.endsWith(`/${name}`));
  return groups.map((group) => join(group, "cgroup.procs"));
}

/** A controller that the host lacks or keeps back is no reason to fail: libvirt does without it. */
async function delegateControllers(hierarchy: string): Promise<void> {
  for (const controller of UNIFIED_CONTROLLERS) {
    await writeFile(join(hierarchy, "cgroup.subtree_control"), `+${controller}`).catch(() => undefined);
  }
}

/** A new v1 cpuset group is empty, and refuses processes until it has been given CPUs and memory nodes. */
async function inheritCpuset(parent: string, directory: string): Promise<void> {
  for (const file of ["cpuset.cpus", "cpuset.mems"]) {
    if (!existsSync(join(parent, file))) continue;
    await writeFile(join(directory, file), await readFile(join(parent, file)));
  }
}

/** Groups at the top of any hierarchy whose name begins with `prefix`. */
export async function listGroups(prefix: string): Promise<string[]> {
  const groups: string[] = [];
  for (const hierarchy of await hierarchies()) {
    for (const entry of await readdir(hierarchy, { withFileTypes: true })) {
      if (entry.isDirectory() && entry.name.startsWith(prefix)) groups.push(join(hierarchy, entry.name));
    }
  }
  return groups;
}

/** Processes in the group and in all groups below it, as the caller's PID namespace numbers them. */
export async function processesOf(group: string): Promise<number[]> {
  const pids = new Set<number>();
  for (const directory of await subtree(group)) {
    const text = await readFile(join(directory, "cgroup.procs"), "utf8").catch(() => "");
    for (const pid of text.split("\n")) if (Number(pid) > 0) pids.add(Number(pid));
  }
  return [...pids];
}

/** Deepest first, the group itself last. */
async function subtree(group: string): Promise<string[]> {
  const entries = await readdir(group, { withFileTypes: true }).catch(() => []);
  const below: string[] = [];
  for (const entry of entries)
    if (entry.isDirectory()) below.push(...(await subtree(join(group, entry.name))));
  return [...below, group];
}

/**
 * Removes the group with all below it, and kills whoever is in it: a process may join while it is taken down. Dead
 * processes leave only when the kernel has buried them, so it is tried for `patienceMs`; then E_TESTBED_RESIDUE.
 */
export async function removeGroup(group: string, patienceMs = 20_000): Promise<void> {
  const deadline = Date.now() + patienceMs;
  for (;;) {
    await killAll(() => processesOf(group));
    for (const directory of await subtree(group)) await rmdir(directory).catch(() => undefined);
    if (!existsSync(group)) return;
    if (Date.now() > deadline) {
      throw new TestbedError(
        "E_TESTBED_RESIDUE",
        `Control group ${group} is still in use; see its cgroup.procs.`,
      );
    }
    await sleep(50);
  }
}
