/** Needs root and the built bench. Its smallest size runs to its end, and an interrupted one leaves nothing either. */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import type { Test } from "tap";
import { residue } from "@version-manager/testbed";
import type { Result, Row } from "../../harness/index.ts";

const MAIN = join(import.meta.dirname, "../../dist/main.js");
const TESTBEDS = /^itbstart\d+$/;
/** Of which the base image, if it is not there, takes the most. */
t.setTimeout(600_000);

if (process.getuid?.() !== 0) t.plan(0, "needs root for domains");
else if (!existsSync(MAIN)) t.plan(0, "needs the built bench: npm run build");
else run();

function start(...words: readonly string[]): ChildProcess {
  // The runner's NODE_OPTIONS are for sources, and the bench hands its own on to the node.
  const environment = { ...process.env, NODE_OPTIONS: "" };
  return spawn(process.execPath, [MAIN, "start", "--quick", ...words], {
    stdio: ["ignore", "pipe", "pipe"],
    env: environment,
  });
}

async function left(): Promise<readonly string[]> {
  const found = await residue();
  return found
    .filter(({ testbed }) => TESTBEDS.test(testbed ?? ""))
    .map(({ kind, what }) => `${kind} ${what}`);
}

/** Sends the signal half a second after the bench has said the line; resolves to its exit status. */
async function endedBy(
  bench: ChildProcess,
  signal: NodeJS.Signals,
  line: string,
  t: Test,
): Promise<number | null> {
  const ended = new Promise<number | null>((resolve) => bench.once("exit", resolve));
  bench.stdout?.resume();
  for await (const said of createInterface({ input: bench.stderr ?? process.stdin })) {
    t.comment(said);
    if (said.startsWith(line)) break;
  }
  await sleep(500);
  bench.kill(signal);
  return await ended;
}

function run(): void {
  t.test("interrupted while domains start", async (t) => {
    const bench = start();
    t.equal(await endedBy(bench, "SIGINT", "round 1/1: service", t), 130);
    t.same(await left(), []);
  });

  t.test("killed: what it leaves is removed by the next one, which runs to its end", async (t) => {
    await endedBy(start(), "SIGKILL", "round 1/1: disk", t);
    t.not((await left()).length, 0);
    const bench = start("--json");
    const ended = new Promise<number | null>((resolve) => bench.once("exit", resolve));
    const said = text(bench.stderr ?? process.stdin);
    const printed = await text(bench.stdout ?? process.stdin);
    t.equal(await ended, 0, await said);
    const result = JSON.parse(printed.trim().split("\n").at(-1) ?? "") as Result;
    t.equal(result.rounds, 1);
    const medianOf = (measure: string, way: string): number => {
      const row: Row | undefined = result.rows.find((candidate) => candidate.measure === measure);
      return row?.values[way]?.median ?? Number.NaN;
    };
    for (const way of ["copy", "overlay", "spare", "lxc"]) {
      const whole = medianOf("service answers, 1 at once", way);
      t.ok(medianOf("disk alone, 1 at once", way) > 0, `${way} has a disk`);
      t.ok(
        medianOf("running, 1 at once", way) < medianOf("SSH answers, 1 at once", way),
        `${way} runs first`,
      );
      const parts = result.rows.filter(({ measure }) => measure.startsWith("part: "));
      const sum = parts.reduce((total, { values }) => total + (values[way]?.median ?? Number.NaN), 0);
      t.ok(Math.abs(sum - whole) < 1, `${way}: the parts of ${whole} ms add up to ${sum} ms`);
    }
    t.match(printed, /Aims/);
    t.same(await left(), []);
  });
}
