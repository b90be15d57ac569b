import { spawn } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { commandLine, isAlive, killAll, namespacePids, processStat } from "../processes.ts";

void t.test("a process is seen, killed with those that come after it, and seen to be gone", async (t) => {
  const first = spawn("sleep", ["60"]);
  const found = [first.pid ?? 0];
  // Between fork and exec a child still bears its parent's command line.
  for (let look = 0; look < 500 && !commandLine(found[0] ?? 0).endsWith("60"); look += 1) await sleep(10);
  t.equal(commandLine(found[0] ?? 0).endsWith("60"), true);
  let asked = 0;
  await killAll(async () => {
    asked += 1;
    if (asked === 2) found.push(spawn("sleep", ["60"]).pid ?? 0);
    return found;
  });
  t.strictSame(found.map(isAlive), [false, false]);
});

void t.test("processes that survive are named in the error", async (t) => {
  // Our parent survives because the fake does not kill; what is tested is who gives up, and what it says then.
  const kill = t.capture(process, "kill", () => true);
  const patience = killAll(async () => [process.ppid], 100);
  await t.rejects(patience, { code: "E_TESTBED_RESIDUE", message: new RegExp(String(process.ppid)) });
  t.ok(kill().length > 0);
});

void t.test("a PID that is not there has no state; our own has one PID per namespace", (t) => {
  t.equal(processStat(2 ** 30), undefined);
  t.equal(isAlive(2 ** 30), false);
  t.equal(namespacePids(process.pid).at(-1), process.pid);
  t.end();
});
