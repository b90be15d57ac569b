/** Runs `scripts/demo` as a user would, and compares what is on the machine before and after. */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { setTimeout as sleep } from "node:timers/promises";
import { residue } from "@version-manager/testbed";

const root = fileURLToPath(new URL("../../../../", import.meta.url));
const program = `${root}scripts/dist/demonstration/main.js`;

/** The fields of docs/DEMO.md that tests look at. */
export interface Report {
  readonly schema: number;
  readonly mode: string;
  readonly hypervisor: string;
  readonly nodes: number;
  readonly upgraded: number;
  readonly requests: number;
  readonly failed: number;
  readonly seconds: number;
  readonly verified: readonly { readonly facts: { readonly keys: number; readonly failed: number } }[];
  readonly isolation: readonly { readonly version: number; readonly onlyItsOwnKind: boolean }[];
  readonly killed: readonly string[];
  readonly stages: Readonly<
    Record<string, readonly { readonly stage: string; readonly enteredAtMs: number }[]>
  >;
}

export const skip =
  process.getuid?.() !== 0 ? "needs root" : existsSync(program) ? false : "needs a build: npm run build";

export async function demonstrate(
  words: readonly string[],
): Promise<{ status: number; report: Report; said: string }> {
  // tap instruments every Node process below it by this variable; a user's nodes and proxies are not.
  const command = ["-u", "NODE_OPTIONS", process.execPath, program, "--json", ...words];
  const child = spawn("env", command, { stdio: ["ignore", "pipe", "pipe"] });
  let out = "";
  let said = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (out += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (said += text));
  const status = await new Promise<number>((resolve) => child.once("close", (code) => resolve(code ?? 1)));
  const lines = out.trim().split("\n");
  if (lines.length !== 1 || lines[0] === "") throw new Error(`no report (status ${status}):\n${said}`);
  return { status, report: JSON.parse(lines[0] ?? "") as Report, said };
}

/** What is there now and was not before. The kernel frees maps and programs a moment after their last user is gone. */
export async function leftSince(before: readonly { kind: string; what: string }[]): Promise<string[]> {
  const known = new Set(before.map(({ kind, what }) => `${kind} ${what}`));
  let left: string[] = [];
  for (let attempt = 0; attempt < 20; attempt += 1) {
    left = (await residue()).map(({ kind, what }) => `${kind} ${what}`).filter((entry) => !known.has(entry));
    if (left.length === 0) return [];
    await sleep(500);
  }
  return left;
}
