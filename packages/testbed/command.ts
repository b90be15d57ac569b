/** Runs programs of the machine and turns their failures into one clear error. */
import { execFile } from "node:child_process";
import { TestbedError } from "./errors.ts";
import type { Command } from "./wire/plan.ts";

export interface Output {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Bytes of output kept of one command; a command that writes more is stopped. */
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;

/** Runs to the end and gives back whatever came; throws E_TESTBED_COMMAND only when it could not be started. */
export function runAny(command: Command, options: { readonly timeoutMs?: number } = {}): Promise<Output> {
  const [file, ...args] = command;
  return new Promise((resolve, reject) => {
    const limits = {
      maxBuffer: OUTPUT_BYTES_MAX,
      timeout: options.timeoutMs ?? 0,
      killSignal: "SIGKILL",
    } as const;
    execFile(file, args, limits, (error, stdout, stderr) => {
      if (error === null) resolve({ code: 0, stdout, stderr });
      else if (typeof error.code === "number") resolve({ code: error.code, stdout, stderr });
      else if (error.code === "ENOENT") {
        reject(
          new TestbedError(
            "E_TESTBED_COMMAND",
            `${file} is not installed; scripts/setup installs it.`,
            error,
          ),
        );
      } else
        reject(new TestbedError("E_TESTBED_COMMAND", `${command.join(" ")} did not end by itself.`, error));
    });
  });
}

/** Runs to the end; throws E_TESTBED_COMMAND with the command's own words when it fails. */
export async function run(command: Command): Promise<string> {
  const { code, stdout, stderr } = await runAny(command);
  if (code === 0) return stdout;
  const words = (stderr.trim() || stdout.trim()).slice(-2000);
  throw new TestbedError("E_TESTBED_COMMAND", `${command.join(" ")} failed (${code}): ${words}`);
}
