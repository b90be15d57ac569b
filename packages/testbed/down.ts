/**
 * Removes a testbed by its name alone: it looks for what is there, not for what a record says should be there, so it
 * works after any crash, and twice.
 */
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { listGroups, processesOf, removeGroup } from "./cgroups.ts";
import { run, runAny } from "./command.ts";
import { TestbedError } from "./errors.ts";
import { checkName, prefixOf, STATE_ROOT } from "./layout.ts";
import { destroyGuests, removeConsoles } from "./node/xen.ts";
import { killAll, processesInNetns } from "./processes.ts";
import { isBeingMade, readState, removeState } from "./state.ts";

export interface DownOptions {
  readonly name?: string;
}

/** Named network namespaces that begin with `prefix`. */
export function listNetns(prefix: string): string[] {
  if (!existsSync("/run/netns")) return [];
  return readdirSync("/run/netns").filter((netns) => netns.startsWith(prefix));
}

/**
 * Ends every process of the testbed and removes its namespaces, links, mounts, control groups and directories. Removing
 * what is not there succeeds. Throws E_TESTBED_BUSY while another process makes it, E_TESTBED_RESIDUE when the kernel
 * does not let go of something.
 */
export async function down({ name = "default" }: DownOptions = {}): Promise<void> {
  checkName(name);
  if (process.getuid?.() !== 0)
    throw new TestbedError("E_NOT_ROOT", "Testbeds need root: run this with sudo.");
  const state = readState(name);
  if (state !== undefined && isBeingMade(state)) {
    const message = `Testbed ${name} is being made by process ${state.owner.pid}; wait for it or end it first.`;
    throw new TestbedError("E_TESTBED_BUSY", message);
  }
  await demolish(name);
}

/**
 * `down` without asking who else is at work. A command that a killed maker had just begun may still add something, so
 * it is done until there is nothing to do.
 */
export async function demolish(name: string): Promise<void> {
  const prefix = prefixOf(name);
  do await removeWhatIsThere(name, prefix);
  while (listNetns(prefix).length > 0 || (await listGroups(prefix)).length > 0);
}

async function removeWhatIsThere(name: string, prefix: string): Promise<void> {
  const groups = await listGroups(prefix);
  const namespaces = listNetns(prefix);
  await killAll(async () => {
    const members = await Promise.all(groups.map((group) => processesOf(group)));
    return [...members.flat(), ...namespaces.flatMap((netns) => processesInNetns(netns))];
  });
  for (const netns of namespaces) await removeNetns(netns);
  for (const group of groups) await removeGroup(group);
  removeConsoles(`${STATE_ROOT}/${name}`);
  await unmountBelow(`${STATE_ROOT}/${name}`);
  removeState(name);
}

/** Its links first: the kernel removes those of a dead namespace only some time later. */
async function removeNetns(netns: string): Promise<void> {
  const { code, stdout } = await runAny(["ip", "-n", netns, "-json", "link", "show"]);
  if (code === 0) {
    const links = JSON.parse(stdout || "[]") as { readonly ifname: string }[];
    await destroyGuests(links.map(({ ifname }) => ifname));
    for (const { ifname } of links) {
      // A link may be gone with its other end, or be one that no namespace can be without (lo).
      if (ifname !== "lo") await runAny(["ip", "-n", netns, "link", "delete", ifname]);
    }
  }
  await runAny(["ip", "netns", "delete", netns]);
  // A crash between making the file and mounting the namespace on it leaves a plain file.
  rmSync(`/run/netns/${netns}`, { force: true });
}

/** Mount points of this mount namespace at or below `directory`, deepest first. */
export function mountsBelow(directory: string): string[] {
  const points = readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .map((line) => line.split(" ")[4] ?? "");
  return points.filter((point) => point === directory || point.startsWith(`${directory}/`)).toReversed();
}

async function unmountBelow(directory: string): Promise<void> {
  for (const point of mountsBelow(directory)) await run(["umount", "--lazy", point]);
  for (let tries = 0; mountsBelow(directory).length > 0; tries += 1) {
    if (tries === 100)
      throw new TestbedError("E_TESTBED_RESIDUE", `Something is still mounted below ${directory}.`);
    await sleep(50);
  }
}
