/**
 * Network namespaces and the processes in them. All bear the prefix vmbr- and this process's id, and go with `close`;
 * what a killed bench left goes when the next one starts.
 */
import { execFile, spawn } from "node:child_process";
import type { ChildProcess, StdioOptions } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const PREFIX = "vmbr-";
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;
const END_MS = 3_000;
const NAMESPACES = "/run/netns";

export class Namespaces {
  readonly directory: string;
  /** A mount of bpffs for this bench alone. */
  readonly bpffs: string;
  readonly #prefix = `${PREFIX}${process.pid}-`;
  readonly #children: ChildProcess[] = [];

  private constructor() {
    this.directory = mkdtempSync(join(tmpdir(), this.#prefix));
    this.bpffs = join(this.directory, "bpf");
  }

  static async open(): Promise<Namespaces> {
    await sweep((pid) => !existsSync(`/proc/${pid}`));
    const namespaces = new Namespaces();
    mkdirSync(namespaces.bpffs);
    await run("mount", ["-t", "bpf", "bpf", namespaces.bpffs]);
    return namespaces;
  }

  /** Returns the namespace's full name. */
  async add(name: string): Promise<string> {
    const namespace = `${this.#prefix}${name}`;
    await run("ip", ["netns", "add", namespace]);
    await run("ip", ["-n", namespace, "link", "set", "lo", "up"]);
    return namespace;
  }

  /** A process that stays until `close`, unless it ends by itself. */
  spawn(namespace: string, command: readonly string[], stdio: StdioOptions = "ignore"): ChildProcess {
    const child = spawn("nsenter", [`--net=${NAMESPACES}/${namespace}`, ...command], { stdio });
    // Not fatal here: who waits for what the process does finds it missing.
    child.on("error", () => undefined);
    this.#children.push(child);
    return child;
  }

  async close(): Promise<void> {
    await Promise.all(this.#children.map(end));
    await sweep((pid) => pid === process.pid);
  }
}

/** Standard output of a command in a namespace, run to its end. Throws with its words when it fails. */
export function within(
  namespace: string,
  [program = "", ...words]: readonly string[],
  options: { readonly signal?: AbortSignal; readonly timeoutMs?: number; readonly input?: string } = {},
): Promise<string> {
  return run("nsenter", [`--net=${NAMESPACES}/${namespace}`, program, ...words], options);
}

export function run(
  program: string,
  words: readonly string[],
  { signal, timeoutMs = 60_000, input = "" }: Parameters<typeof within>[2] = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { timeout: timeoutMs, maxBuffer: OUTPUT_BYTES_MAX, ...(signal && { signal }) };
    const child = execFile(program, [...words], options, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else
        reject(
          new Error(`"${words.join(" ")}": ${(stderr.trim() || stdout.trim() || error.message).slice(-500)}`),
        );
    });
    child.stdin?.on("error", () => undefined);
    child.stdin?.end(input);
  });
}

/** Ends a process, by force when it does not go. */
export async function end(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGTERM");
  await Promise.race([gone, sleep(END_MS, undefined, { ref: false })]);
  child.kill("SIGKILL");
  await gone;
}

/** Removes namespaces with whatever runs in them, mounts and directories of the benches with such process ids. */
async function sweep(isTheirs: (pid: number) => boolean): Promise<void> {
  const mine = (name: string): boolean => {
    const pid = /^vmbr-(\d+)-/.exec(name)?.[1];
    return pid !== undefined && isTheirs(Number(pid));
  };
  const namespaces = existsSync(NAMESPACES) ? readdirSync(NAMESPACES).filter(mine) : [];
  for (const namespace of namespaces) {
    const pids = (await run("ip", ["netns", "pids", namespace])).split("\n").filter(Boolean);
    for (const pid of pids) kill(Number(pid));
    await run("ip", ["netns", "delete", namespace]);
  }
  for (const name of readdirSync(tmpdir()).filter(mine)) {
    const directory = join(tmpdir(), name);
    await run("umount", [join(directory, "bpf")]).catch(() => "");
    rmSync(directory, { recursive: true, force: true });
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It went by itself in between.
  }
}
