/** The process in the node's namespace that runs the campaign. Started by the test as an actor, see ../actor-handle.ts. */
import { Pins } from "../../../datapath/kernel/pins.ts";
import { runCampaign } from "./campaign.ts";
import { Programs } from "./programs.ts";
import { Tables } from "./tables.ts";
import type { Report } from "./campaign.ts";

export interface Task {
  readonly pinDirectory: string;
  readonly interfaces: readonly number[];
  readonly uplink: number;
  readonly uplinkMtu: number;
  readonly seed: number;
  readonly cases: number;
}

function run(task: Task): Report {
  const programs = new Programs(task.pinDirectory);
  const tables = new Tables(new Pins(task.pinDirectory).maps());
  try {
    return runCampaign({ ...task, programs, tables }, task.seed, task.cases);
  } finally {
    tables.clear();
    programs.close();
  }
}

process.on("message", ({ id, args }: { id: number; args: [Task] }) => {
  try {
    process.send?.({ id, result: run(...args) });
  } catch (error) {
    process.send?.({ id, error: error instanceof Error ? error.stack : String(error) });
  }
});
process.on("disconnect", () => process.exit(0));
process.send?.({ id: 0 });
