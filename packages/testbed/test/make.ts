/**
 * Makes a testbed as a process of its own, for tests that kill the maker: `make.ts NAME STEP DELAY_MS` dies by SIGKILL
 * that long after the step had begun; without a step it says each step's name and ends well.
 */
import { up } from "../index.ts";

const [name = "", fatalStep, delayMs = "0"] = process.argv.slice(2);
const sleeper = ["sleep", "3600"];

await up({
  name,
  nodes: 2,
  commands: { libvirtd: sleeper, router: sleeper, agent: sleeper },
  onProgress: (step) => {
    if (fatalStep === undefined) process.stdout.write(`${step}\n`);
    if (step !== fatalStep) return;
    if (delayMs === "0") process.kill(process.pid, "SIGKILL");
    else setTimeout(() => process.kill(process.pid, "SIGKILL"), Number(delayMs));
  },
});
