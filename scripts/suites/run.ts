/** Runs one suite as a child process, shows its output, and counts. */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

export interface Count {
  passed: number;
  failed: number;
  skipped: number;
}

/** A tool whose exit status is the verdict counts as one test. */
export async function runCheck(command: readonly string[]): Promise<Count> {
  const [program = "", ...words] = command;
  const status = await run(program, words, (line) => process.stdout.write(`${line}\n`));
  return { passed: status === 0 ? 1 : 0, failed: status === 0 ? 0 : 1, skipped: 0 };
}

/** tap ends with `# { total: 98, pass: 97, fail: 1, skip: 0 }`. */
const totals = /^# \{ (total: .*) \}$/;

/** A file of the run that failed, as tap names it. */
const failedFile = /^not ok \d+ - (\S+\.ts)\b/;

export interface TapOptions {
  readonly jobs: number;
  readonly timeoutS: number;
  /** Up to so many files that failed are run once more, alone, and that counts; see docs/decisions/0012. */
  readonly secondTries?: number;
}

export async function runTap(files: readonly string[], options: TapOptions): Promise<Count> {
  if (files.length === 0) return { passed: 0, failed: 0, skipped: 0 };
  const { count, failed } = await runOnce(files, options);
  const { secondTries = 0 } = options;
  if (failed.length === 0 || failed.length > secondTries) return count;
  process.stdout.write(`\nTried once more, alone: ${failed.join(" ")}\n`);
  const again = await runOnce(failed, options);
  const passedNow = failed.filter((file) => !again.failed.includes(file));
  for (const file of passedNow)
    process.stdout.write(
      `FLAKY: ${file} failed, and passed at its second try. That is a fault to be found.\n`,
    );
  // What the first try of these files found is replaced; where one fails again, both tries stay in the count.
  if (again.count.failed > 0) return { ...count, failed: count.failed + again.count.failed };
  const { passed, skipped } = again.count;
  return { passed: count.passed + passed, failed: 0, skipped: count.skipped + skipped };
}

async function runOnce(
  files: readonly string[],
  options: TapOptions,
): Promise<{ readonly count: Count; readonly failed: readonly string[] }> {
  const count: Count = { passed: 0, failed: 0, skipped: 0 };
  const failed: string[] = [];
  const runner = fileURLToPath(import.meta.resolve("./tap-files.js"));
  const words = [runner, String(options.jobs), String(options.timeoutS), ...files];
  const status = await run(process.execPath, words, (line) => {
    const found = totals.exec(line)?.[1];
    const name = failedFile.exec(line)?.[1];
    if (name !== undefined) failed.push(name);
    if (found !== undefined) {
      const number = (name: string) => Number(new RegExp(`\\b${name}: (\\d+)`).exec(found)?.[1] ?? 0);
      count.passed = number("pass");
      count.failed = number("fail");
      count.skipped = number("skip") + number("todo");
    } else if (isWorthShowing(line)) {
      process.stdout.write(`${line}\n`);
    }
  });
  // A runner that fails without a failed test (a crash, a time-out) must not count as success.
  if (status !== 0 && count.failed === 0) count.failed = 1;
  return { count, failed };
}

/** Passing assertions fill screens; files, failures with their details, and skips are what a person looks for. */
function isWorthShowing(line: string): boolean {
  if (/ # (SKIP|TODO)/i.test(line)) return true;
  return line.trim() !== "" && !/^\s+ok |^\s*# Subtest|^\s*1\.\.|^TAP version/.test(line);
}

function run(program: string, words: readonly string[], onLine: (line: string) => void): Promise<number> {
  const path = `${process.cwd()}/node_modules/.bin:${process.env["PATH"] ?? ""}`;
  return new Promise((resolve, reject) => {
    const child = spawn(program, words, {
      stdio: ["ignore", "pipe", "inherit"],
      env: { ...process.env, PATH: path, NO_COLOR: "1", FORCE_COLOR: "0" },
    });
    createInterface({ input: child.stdout }).on("line", onLine);
    child.once("error", reject);
    child.once("close", (status) => resolve(status ?? 1));
  });
}
