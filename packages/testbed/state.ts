/** `state.json`: what a testbed was asked to be, and how far making it got. Written before each step. */
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import * as z from "zod";
import { prefixOf, STATE_ROOT } from "./layout.ts";
import { processStat } from "./processes.ts";

const stateSchema = z.strictObject({
  name: z.string(),
  nodes: z.number().int(),
  rateMbit: z.number(),
  hypervisor: z.enum(["auto", "kvm", "qemu", "xen", "lxc"]),
  /** The step that had begun last; `ready` once all are done. */
  step: z.string(),
  /** The process that makes it, told from later ones with the same PID by its start time. */
  owner: z.strictObject({ pid: z.number().int(), startTicks: z.number() }),
  startedAtMs: z.number(),
});

export type State = z.infer<typeof stateSchema>;

export const READY = "ready";

function fileOf(name: string): string {
  return `${STATE_ROOT}/${name}/state.json`;
}

/** Undefined when there is none, or when a crash left half a file: both mean that nothing can be learnt from it. */
export function readState(name: string): State | undefined {
  if (!existsSync(fileOf(name))) return undefined;
  try {
    return stateSchema.parse(JSON.parse(readFileSync(fileOf(name), "utf8")));
  } catch {
    return undefined;
  }
}

export function writeState(state: State): void {
  const draft = `${fileOf(state.name)}.draft`;
  writeFileSync(draft, `${JSON.stringify(state, undefined, 2)}\n`);
  renameSync(draft, fileOf(state.name));
}

export function removeState(name: string): void {
  rmSync(`${STATE_ROOT}/${name}`, { recursive: true, force: true });
}

/** Whether the process that makes the testbed is at work right now (and is not the caller). */
export function isBeingMade(state: State): boolean {
  if (state.step === READY || state.owner.pid === process.pid) return false;
  return processStat(state.owner.pid)?.startTicks === state.owner.startTicks;
}

/** Name of the testbed that a `vmt-NAME-…` thing belongs to. */
export function testbedOf(thing: string): string | undefined {
  return new RegExp(`^${prefixOf()}([a-z0-9]+)-`).exec(thing)?.[1];
}
