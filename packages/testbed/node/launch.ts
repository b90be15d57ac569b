/** Starts a node as one process tree in namespaces of its own, and finds the tree again later. */
import { spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { createGroup, createLeaf, listGroups, processesOf } from "../cgroups.ts";
import type { NodeLayout } from "../layout.ts";
import { namespacePids } from "../processes.ts";
import type { Command } from "../wire/plan.ts";
import { inheritedByNode } from "./xen.ts";

/** The init beside this file, as source or as built. */
const INIT = fileURLToPath(new URL(import.meta.url.endsWith(".ts") ? "init.ts" : "init.js", import.meta.url));

/** Joins the groups named first, then becomes the rest; so not even the first process is outside them. */
const JOIN_GROUPS = 'for procs in $1; do echo $$ >"$procs"; done; shift; exec "$@"';

/** The command line that runs `command` in control groups. */
export function inGroups(groupFiles: readonly string[], command: Command): Command {
  return ["sh", "-ec", JOIN_GROUPS, "node", groupFiles.join(" "), ...command];
}

/**
 * Detached: the node outlives the caller. `--propagation slave` lets unmounts of the host through, so that a testbed
 * never keeps a foreign file system busy. When the outer process dies, `--kill-child` takes the node with it.
 */
export async function launchNode(node: NodeLayout): Promise<void> {
  const spaces = [
    "--mount",
    "--propagation",
    "slave",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
    "--uts",
  ];
  const init = ["tini", "--", process.execPath, INIT, node.initFile];
  const isolated = inGroups(await createLeaf(node.cgroup), ["unshare", ...spaces, ...init]);
  const enter: Command = ["nsenter", `--net=/run/netns/${node.netns}`, "unshare", "--cgroup", ...isolated];
  const [file, ...args] = inGroups(await createGroup(node.cgroup), enter);
  const log = openSync(`${node.directory}/init.log`, "a");
  const inherited = inheritedByNode();
  const child = spawn(file, args, { stdio: ["ignore", log, log, ...inherited], detached: true, cwd: "/" });
  for (const descriptor of [log, ...inherited]) closeSync(descriptor);
  child.unref();
}

/** Host PID of the node's first process (PID 1 in its own namespace), or undefined when the node does not run. */
export async function nodeProcess(node: NodeLayout): Promise<number | undefined> {
  for (const group of await listGroups(node.cgroup)) {
    if (!group.endsWith(`/${node.cgroup}`)) continue;
    for (const pid of await processesOf(group)) {
      const pids = namespacePids(pid);
      if (pids.length === 2 && pids[1] === 1) return pid;
    }
  }
  return undefined;
}
