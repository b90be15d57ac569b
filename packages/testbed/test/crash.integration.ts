/** Needs root. Kills testbeds and their makers at every point; `down` must leave nothing of them, each time. */
import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import t from "tap";
import { down, residue, status, up } from "../index.ts";
import { STATE_ROOT } from "../layout.ts";
import { isAlive } from "../processes.ts";

const name = "itcrash";
const MAKE = fileURLToPath(new URL("make.ts", import.meta.url));
const sleeper = ["sleep", "3600"];
const commands = { libvirtd: sleeper, router: sleeper, agent: sleeper };

async function make(
  ...args: string[]
): Promise<{ readonly steps: string[]; readonly signal: string | null }> {
  const child = spawn(process.execPath, [MAKE, name, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  let text = "";
  child.stdout.on("data", (chunk: Buffer) => (text += chunk.toString()));
  const signal = await new Promise<string | null>((resolve) =>
    child.once("close", (_code, by) => resolve(by)),
  );
  return { steps: text.trim().split("\n"), signal };
}

async function left(): Promise<string[]> {
  const entries = await residue();
  return entries.filter((entry) => entry.testbed === name).map(({ kind, what }) => `${kind} ${what}`);
}

async function nodePids(): Promise<number[]> {
  return (await status({ name })).nodes.map((node) => node.pid ?? 0);
}

const skip = process.getuid?.() === 0 ? false : "needs root";

void t.test("crashes", { skip, timeout: 600_000 }, async (t) => {
  t.teardown(() => down({ name }));
  await down({ name });
  const { steps } = await make();
  t.ok(steps.length > 8, steps.join(", "));
  await down({ name });
  t.strictSame(await left(), []);

  await t.test("of the maker at the beginning of each step", async (t) => {
    for (const step of steps) {
      t.equal((await make(step)).signal, "SIGKILL");
      await down({ name });
      t.strictSame(await left(), [], step);
    }
  });

  await t.test("of the maker in the middle of each step", async (t) => {
    for (const [index, step] of steps.entries()) {
      await make(step, String(1 + ((index * 7) % 23)));
      await down({ name });
      t.strictSame(await left(), [], step);
    }
  });

  await t.test("of the maker, and then simply up again", async (t) => {
    for (const step of ["link n2", "start n2"]) {
      await make(step);
      await up({ name, nodes: 1, commands });
      t.equal((await status({ name })).state, "ready");
      await down({ name });
      t.strictSame(await left(), []);
    }
  });

  await t.test("of a node's first process: the node is gone, and told to be", async (t) => {
    await up({ name, nodes: 2, commands });
    const [first = 0] = await nodePids();
    process.kill(first, "SIGKILL");
    while (isAlive(first)) await new Promise((resolve) => setTimeout(resolve, 20));
    const seen = await status({ name });
    t.equal(seen.state, "broken");
    t.equal(seen.nodes[0]?.pid, undefined);
    t.equal(seen.nodes[1]?.services.length, 3);
    await down({ name });
    t.strictSame(await left(), []);
  });

  await t.test("of every process at once", async (t) => {
    await up({ name, nodes: 2, commands });
    for (const { kind, what } of (await residue()).filter((entry) => entry.testbed === name)) {
      if (kind !== "process") continue;
      try {
        process.kill(Number.parseInt(what, 10), "SIGKILL");
      } catch {
        // It died with the one before.
      }
    }
    await down({ name });
    t.strictSame(await left(), []);
  });

  await t.test("a state file cut in half is no obstacle", async (t) => {
    await up({ name, nodes: 1, commands });
    const file = `${STATE_ROOT}/${name}/state.json`;
    writeFileSync(file, readFileSync(file, "utf8").slice(0, 40));
    await t.rejects(status({ name }), { code: "E_NO_TESTBED" });
    await down({ name });
    t.strictSame(await left(), []);
  });

  await t.test(
    "a service that never becomes ready: up says whose log told what, and removes all",
    async (t) => {
      const failing = { ...commands, agent: ["sh", "-c", "echo no key, no entry; exit 1"] };
      const made = up({ name, nodes: 1, commands: failing, readyTimeoutMs: 3_000 });
      await t.rejects(made, { code: "E_TESTBED_NODE", message: /agent.*no key, no entry/s });
      t.strictSame(await left(), []);
    },
  );

  await t.test("aborting removes all", async (t) => {
    const abort = new AbortController();
    const onProgress = (step: string): void => {
      if (step === "wait for n1") abort.abort(new Error("enough"));
    };
    await t.rejects(up({ name, nodes: 1, commands, signal: abort.signal, onProgress }), {
      message: "enough",
    });
    t.strictSame(await left(), []);
  });

  await t.test("one maker at a time, and nobody pulls it down meanwhile", async (t) => {
    mkdirSync(`${STATE_ROOT}/${name}`, { recursive: true });
    const startTicks = Number(
      readFileSync(`/proc/${process.ppid}/stat`, "utf8").split(") ")[1]?.split(" ")[19],
    );
    const owner = { pid: process.ppid, startTicks };
    const state = { name, nodes: 1, rateMbit: 1, hypervisor: "auto", step: "wire", owner, startedAtMs: 0 };
    writeFileSync(`${STATE_ROOT}/${name}/state.json`, JSON.stringify(state));
    t.equal((await status({ name })).state, "making");
    await t.rejects(up({ name, nodes: 1, commands }), { code: "E_TESTBED_BUSY" });
    await t.rejects(down({ name }), { code: "E_TESTBED_BUSY" });
    writeFileSync(
      `${STATE_ROOT}/${name}/state.json`,
      JSON.stringify({ ...state, owner: { ...owner, startTicks: 1 } }),
    );
    await down({ name });
    t.strictSame(await left(), []);
  });
});
