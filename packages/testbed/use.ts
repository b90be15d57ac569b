/** What one does with a testbed that is up: look at it, run something on a node, kill something there. */
import { existsSync, readdirSync } from "node:fs";
import { spawn } from "node:child_process";
import { TestbedError } from "./errors.ts";
import { checkName, layoutOf, STATE_ROOT } from "./layout.ts";
import type { Layout, NodeLayout, NodeName } from "./layout.ts";
import { joinFiles } from "./cgroups.ts";
import { runAny } from "./command.ts";
import type { Output } from "./command.ts";
import { ask } from "./node/control.ts";
import type { KillTarget, ServiceStatus } from "./node/contract.ts";
import { searchPath } from "./node/files.ts";
import { inGroups, nodeProcess } from "./node/launch.ts";
import { isBeingMade, readState, READY } from "./state.ts";
import type { State } from "./state.ts";
import type { Command } from "./wire/plan.ts";

export interface NodeStatus {
  readonly name: NodeName;
  readonly address: string;
  readonly netns: string;
  /** Host directory with the node's private paths below it. */
  readonly directory: string;
  /** Host PID of the node's first process; absent when the node does not run. */
  readonly pid?: number;
  readonly services: readonly ServiceStatus[];
}

export interface TestbedStatus {
  readonly name: string;
  /** `making` while a process makes it, `broken` when that process died or nodes are missing. */
  readonly state: "ready" | "making" | "broken";
  readonly rateMbit: number;
  readonly hypervisor: State["hypervisor"];
  readonly clientAddress: string;
  readonly clientNetns: string;
  readonly startedAtMs: number;
  readonly nodes: readonly NodeStatus[];
}

/** A node by name or number, or the client, which has no processes of its own but a network. */
export type Place = number | NodeName | "client";

export interface At {
  readonly name?: string;
  readonly node: Place;
}

function stateOf(name: string): State {
  const state = readState(checkName(name));
  if (state !== undefined) return state;
  const message = `There is no testbed ${name}; make one with: vm-upgrade testbed up --name ${name}`;
  throw new TestbedError("E_NO_TESTBED", message);
}

function nodeOf(layout: Layout, place: Place): NodeLayout {
  const wanted = typeof place === "number" ? `n${place}` : place;
  const node = layout.nodes.find((candidate) => candidate.name === wanted);
  if (node !== undefined) return node;
  const message = `Testbed ${layout.name} has nodes n1 to n${layout.nodes.length}, not ${wanted}.`;
  throw new TestbedError("E_BAD_REQUEST", message);
}

/** Control socket of a node of a testbed that is there. */
function controlOf(name: string, place: Place): string {
  return nodeOf(layoutOf(name, stateOf(name).nodes), place).controlSocket;
}

async function nodeStatus(node: NodeLayout): Promise<NodeStatus> {
  const pid = await nodeProcess(node);
  const answer =
    pid === undefined
      ? undefined
      : await ask(node.controlSocket, { command: "status" }).catch(() => undefined);
  return {
    name: node.name,
    address: node.address,
    netns: node.netns,
    directory: node.directory,
    ...(pid === undefined ? {} : { pid }),
    services: answer !== undefined && "services" in answer ? answer.services : [],
  };
}

/** Throws E_NO_TESTBED. */
export async function status({ name = "default" }: { readonly name?: string } = {}): Promise<TestbedStatus> {
  const state = stateOf(name);
  const layout = layoutOf(name, state.nodes);
  const nodes = await Promise.all(layout.nodes.map((node) => nodeStatus(node)));
  const whole = state.step === READY && nodes.every((node) => node.services.length > 0);
  return {
    name,
    state: whole ? "ready" : isBeingMade(state) ? "making" : "broken",
    rateMbit: state.rateMbit,
    hypervisor: state.hypervisor,
    clientAddress: layout.clientAddress,
    clientNetns: layout.clientNetns,
    startedAtMs: state.startedAtMs,
    nodes,
  };
}

/** Names of the testbeds on this machine, whole or not. */
export function list(): string[] {
  return existsSync(STATE_ROOT) ? readdirSync(STATE_ROOT).toSorted() : [];
}

/** The command line that runs `command` at a place, for callers that want its terminal or its streams. */
export async function commandAt(
  { name = "default", node: place }: At,
  command: readonly string[],
): Promise<Command> {
  const layout = layoutOf(name, stateOf(name).nodes);
  const environment = ["env", `PATH=${searchPath(layout)}`];
  if (place === "client") {
    return ["nsenter", `--net=/run/netns/${layout.clientNetns}`, "--", ...environment, ...command];
  }
  const node = nodeOf(layout, place);
  const pid = await nodeProcess(node);
  if (pid === undefined) {
    throw new TestbedError(
      "E_TESTBED_NODE",
      `Node ${node.name} does not run; see ${node.directory}/init.log.`,
    );
  }
  const spaces = ["--mount", "--net", "--uts", "--cgroup", "--pid", "--wd=/"];
  const enter: Command = ["nsenter", "--target", String(pid), ...spaces, "--", ...environment, ...command];
  return inGroups(await joinFiles(node.cgroup), enter);
}

/** Runs a command at a place to its end. Throws E_NO_TESTBED, E_BAD_REQUEST, E_TESTBED_NODE; never for its exit status. */
export async function exec(
  request: At & { readonly command: readonly string[]; readonly timeoutMs?: number },
): Promise<Output> {
  const { timeoutMs = 0 } = request;
  return runAny(await commandAt(request, request.command), { timeoutMs });
}

/** Runs a command at a place with the caller's own terminal. Resolves to its exit status. */
export async function attach(request: At & { readonly command: readonly string[] }): Promise<number> {
  const [file, ...args] = await commandAt(request, request.command);
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { stdio: "inherit" });
    child.once("error", reject);
    child.once("exit", (code, signal) => resolve(signal === null ? (code ?? 1) : 128));
  });
}

/**
 * Kills a service's own process on a node (SIGKILL unless said otherwise), never what that process started; the node
 * restarts it. Returns the PIDs, as the node numbers them.
 */
export async function kill(
  request: At & { readonly what: KillTarget; readonly signal?: NodeJS.Signals },
): Promise<readonly number[]> {
  const { name = "default", node: place, what, signal = "SIGKILL" } = request;
  const answer = await ask(controlOf(name, place), { command: "kill", what, signal });
  return "killed" in answer ? answer.killed : [];
}

/** Terminates a service and keeps it down, or (`held: false`) starts it again. */
export async function hold(
  request: At & { readonly service: Exclude<KillTarget, "proxy">; readonly held: boolean },
): Promise<void> {
  const { name = "default", node: place, service, held } = request;
  await ask(controlOf(name, place), { command: "hold", service, held });
}
