/** Runs the system's tools (ip, tc, bpftool, nft) and turns their failure into E_KERNEL. */
import { execFile } from "node:child_process";
import { RouterError } from "../../errors.ts";

const TIMEOUT_MS = 30_000;
const OUTPUT_BYTES_MAX = 16 * 1024 * 1024;

/** Standard output of the command. Throws RouterError E_KERNEL with what the command said. */
export function run(command: string, args: readonly string[], input?: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { timeout: TIMEOUT_MS, maxBuffer: OUTPUT_BYTES_MAX, env: toolEnvironment() };
    const child = execFile(command, args, options, (error, stdout, stderr) => {
      if (error === null) return resolve(stdout);
      const said = stderr.trim() || error.message;
      reject(
        new RouterError(
          "E_KERNEL",
          `"${command} ${args.join(" ")}" failed: ${said}; see vm-upgrade doctor.`,
          error,
        ),
      );
    });
    child.stdin?.on("error", () => child.kill());
    child.stdin?.end(input ?? "");
  });
}

/**
 * Several commands of `ip` or `tc` by one process, because starting it takes most of their time. Words must not contain
 * quotes or ends of lines. Throws RouterError E_KERNEL that names the first that fails; those after it are not done.
 */
export async function runBatch(tool: "ip" | "tc", commands: readonly (readonly string[])[]): Promise<void> {
  const lines = commands.map((words) =>
    words.map((word) => (/\s/.test(word) ? `"${word}"` : word)).join(" "),
  );
  try {
    await run(tool, ["-batch", "-"], `${lines.join("\n")}\n`);
  } catch (error) {
    const { message } = error as Error;
    const failed = lines[Number(/Command failed -:(\d+)/.exec(message)?.[1]) - 1];
    throw new RouterError(
      "E_KERNEL",
      failed === undefined ? message : `${tool} ${failed}: ${message}`,
      error,
    );
  }
}

/** True when the command succeeds. */
export async function succeeds(command: string, args: readonly string[]): Promise<boolean> {
  try {
    await run(command, args);
    return true;
  } catch {
    return false;
  }
}

/** Daemons are often started with a PATH that lacks the sbin directories. */
function toolEnvironment(): NodeJS.ProcessEnv {
  const path = process.env["PATH"] ?? "";
  return { ...process.env, LC_ALL: "C", PATH: `${path}:/usr/sbin:/sbin` };
}
