/** Makes a testbed step by step; whatever goes wrong, nothing of it stays. */
import { mkdirSync } from "node:fs";
import { run } from "./command.ts";
import { demolish } from "./down.ts";
import { TestbedError } from "./errors.ts";
import { STATE_ROOT } from "./layout.ts";
import type { Layout, NodeLayout } from "./layout.ts";
import { shareCapabilities } from "./capabilities.ts";
import { writeNode, writePrograms } from "./node/files.ts";
import { launchNode } from "./node/launch.ts";
import { waitForNode } from "./node/wait.ts";
import { runsUnderXen } from "./node/xen.ts";
import { planOf } from "./options.ts";
import type { Plan, UpOptions } from "./options.ts";
import { processStat } from "./processes.ts";
import { isBeingMade, readState, READY, writeState } from "./state.ts";
import type { State } from "./state.ts";
import { planClient, planNode, planWire } from "./wire/plan.ts";
import type { Command } from "./wire/plan.ts";

interface Step {
  readonly name: string;
  readonly take: () => Promise<void>;
}

async function runEach(commands: readonly Command[]): Promise<void> {
  for (const command of commands) await run(command);
}

function stepsOf(plan: Plan): Step[] {
  const { layout, rateMbit, ipv6 } = plan;
  const forEachNode = (verb: string, take: (node: NodeLayout) => Promise<void>): Step[] =>
    layout.nodes.map((node) => ({ name: `${verb} ${node.name}`, take: () => take(node) }));
  return [
    { name: "write commands", take: () => writePrograms(layout) },
    { name: "wire", take: () => runEach(planWire(layout)) },
    ...forEachNode("link", (node) => runEach(planNode(layout, node, rateMbit, ipv6))),
    { name: "link client", take: () => runEach(planClient(layout, rateMbit, ipv6)) },
    ...forEachNode("write", (node) => writeNode(plan, node)),
    ...forEachNode("start", (node) => launchNode(node)),
    ...forEachNode("wait for", (node) => waitForNode(node, plan.readyTimeoutMs, plan.options.signal)),
    ...(plan.usesLibvirt && !runsUnderXen()
      ? [{ name: "share QEMU's capabilities", take: () => shareCapabilities(layout) }]
      : []),
  ];
}

/** Only one process can make the directory; a half-made testbed whose maker is gone is removed first. */
async function claim(layout: Layout): Promise<void> {
  const { name } = layout;
  const state = readState(name);
  if (state?.step === READY) {
    const message = `Testbed ${name} is up already; use it, or remove it with: vm-upgrade testbed down --name ${name}`;
    throw new TestbedError("E_TESTBED_EXISTS", message);
  }
  if (state !== undefined && isBeingMade(state)) {
    throw new TestbedError("E_TESTBED_BUSY", `Testbed ${name} is being made by process ${state.owner.pid}.`);
  }
  await demolish(name);
  mkdirSync(STATE_ROOT, { recursive: true });
  try {
    mkdirSync(layout.directory);
  } catch (error) {
    throw new TestbedError(
      "E_TESTBED_BUSY",
      `Another process has just begun to make testbed ${name}.`,
      error,
    );
  }
}

/**
 * Makes a testbed and waits until all services of all nodes are ready. Throws E_NOT_ROOT, E_BAD_REQUEST,
 * E_TESTBED_EXISTS, E_TESTBED_BUSY, E_TESTBED_COMMAND, E_TESTBED_NODE; then nothing of it is left.
 */
export async function up(options: UpOptions = {}): Promise<Layout> {
  const plan = planOf(options);
  const { layout } = plan;
  if (process.getuid?.() !== 0)
    throw new TestbedError("E_NOT_ROOT", "Testbeds need root: run this with sudo.");
  await claim(layout);
  const state: State = {
    name: layout.name,
    nodes: layout.nodes.length,
    rateMbit: plan.rateMbit,
    hypervisor: plan.hypervisor,
    step: "begin",
    owner: { pid: process.pid, startTicks: processStat(process.pid)?.startTicks ?? 0 },
    startedAtMs: Date.now(),
  };
  try {
    for (const step of stepsOf(plan)) {
      options.signal?.throwIfAborted();
      writeState({ ...state, step: step.name });
      options.onProgress?.(step.name);
      await step.take();
    }
    writeState({ ...state, step: READY });
  } catch (error) {
    await demolish(layout.name);
    throw error;
  }
  return layout;
}
