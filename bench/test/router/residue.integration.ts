/** An interrupted bench leaves nothing, and one that was killed leaves nothing once the next has begun. */
import { execFileSync, spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import t from "tap";

const MAIN = join(import.meta.dirname, "../../dist/main.js");
const PROGRAMS = ["nginx", "haproxy", "iperf3", "ab", "ethtool"] as const;

const missing = PROGRAMS.filter(
  (name) => !["/usr/sbin", "/usr/bin"].some((at) => existsSync(join(at, name))),
);
if (process.getuid?.() !== 0) t.plan(0, "needs root for network namespaces");
else if (!existsSync(MAIN)) t.plan(0, "needs the built bench: npm run build");
else if (missing.length > 0) t.plan(0, `needs ${missing.join(", ")}: run scripts/bench router --quick once`);
else run();

/** Starts the bench; resolves when the first probe runs. */
async function startBench(): Promise<ChildProcess> {
  const child = spawn(process.execPath, [MAIN, "router", "--quick"], { stdio: ["ignore", "ignore", "pipe"] });
  const lines: string[] = [];
  await new Promise<void>((resolve, reject) => {
    createInterface({ input: child.stderr }).on("line", (line) => {
      lines.push(line);
      if (line.startsWith("round 1")) resolve();
    });
    child.once("close", () => reject(new Error(`the bench ended early: ${lines.join("\n")}`)));
  });
  return child;
}

function stop(child: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
  const ended = new Promise<number | null>((resolve) => child.once("exit", resolve));
  child.kill(signal);
  return ended;
}

function leftBy(pid: number | undefined): readonly string[] {
  const names = [...readdirSync("/run/netns"), ...readdirSync(tmpdir())];
  const mounts = readFileSync("/proc/mounts", "utf8").split("\n");
  return [...names, ...mounts].filter((name) => name.includes(`vmbr-${pid}-`));
}

function run(): void {
  t.test("SIGINT in the middle", async (t) => {
    const bench = await startBench();
    t.not(leftBy(bench.pid).length, 0);
    t.equal(await stop(bench, "SIGINT"), 130);
    t.same(leftBy(bench.pid), []);
  });

  t.test("nobody reads its words any more", async (t) => {
    const bench = await startBench();
    const ended = new Promise((resolve) => bench.once("exit", resolve));
    bench.stderr?.destroy();
    t.equal(await ended, 130);
    t.same(leftBy(bench.pid), []);
  });

  t.test("SIGKILL in the middle: the next bench clears up, processes included", async (t) => {
    const killed = await startBench();
    await stop(killed, "SIGKILL");
    t.not(leftBy(killed.pid).length, 0);
    const next = await startBench();
    t.same(leftBy(killed.pid), []);
    t.equal(await stop(next, "SIGTERM"), 130);
    t.same(leftBy(next.pid), []);
    const running = execFileSync("ps", ["-eo", "args"], { encoding: "utf8" });
    t.notMatch(running, new RegExp(`vmbr-(${killed.pid}|${next.pid})-`));
  });
}
