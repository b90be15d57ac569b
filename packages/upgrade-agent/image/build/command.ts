/** Running the programs that images and disks are made with; what can go wrong becomes one of our codes. */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { AgentError } from "../../errors.ts";

/** Debian package that brings a program, for the sentence that says how to mend its absence. */
const packageOf: Readonly<Record<string, string>> = {
  "apt-get": "apt",
  "dpkg-deb": "dpkg",
  flock: "util-linux",
  debugfs: "e2fsprogs",
  e2fsck: "e2fsprogs",
  genext2fs: "genext2fs",
  lz4: "lz4",
  mmdebstrap: "mmdebstrap",
  mount: "mount",
  prlimit: "util-linux",
  "qemu-img": "qemu-utils",
  resize2fs: "e2fsprogs",
  setpriv: "util-linux",
  tar: "tar",
  tune2fs: "e2fsprogs",
  umount: "mount",
  unshare: "util-linux",
};

/** Throws E_IMAGE_BUILD with one command that installs all that is missing. */
export function requirePrograms(...programs: readonly string[]): void {
  const directories = (process.env["PATH"] ?? "").split(delimiter);
  const absent = programs.filter(
    (program) => !directories.some((directory) => existsSync(join(directory, program))),
  );
  if (absent.length > 0) throw missing(absent);
}

export interface CommandOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
  /** In namespaces of its own for processes and mounts, so that nothing of it outlives it, whatever it started. */
  readonly contained?: boolean;
  /** Exit statuses that are not errors, besides 0. */
  readonly alsoFine?: readonly number[];
}

/** Output kept of each stream, bytes; what is beyond is an index that nobody reads to the end. */
const outputBytesMax = 4 * 1024 * 1024;

/**
 * Answers standard output. Throws E_IMAGE_BUILD when the program is missing (with the command that installs it) or
 * fails (with the end of what it said), E_DISK_FULL when it ran out of space. Aborting, and the death of this
 * process, end the program and what it started.
 */
export async function run(
  program: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<string> {
  options.signal?.throwIfAborted();
  const contain =
    options.contained === true ? ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"] : [];
  const child = spawn("setpriv", ["--pdeathsig", "SIGKILL", "--", ...contain, program, ...args], {
    cwd: options.cwd,
    env: { ...process.env, LC_ALL: "C", ...options.env },
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  const stop = (): void => {
    if (child.pid !== undefined) killGroup(child.pid);
  };
  options.signal?.addEventListener("abort", stop, { once: true });
  const stdout = collect(child.stdout);
  const stderr = collect(child.stderr);
  try {
    const status = await new Promise<number | string>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (code, signal) => resolve(code ?? signal ?? "unknown"));
    });
    options.signal?.throwIfAborted();
    if (status === 0 || options.alsoFine?.some((fine) => fine === status)) return stdout();
    throw failure(program, status, stderr());
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") throw missing(["setpriv"], error);
    throw error;
  } finally {
    options.signal?.removeEventListener("abort", stop);
  }
}

function collect(stream: NodeJS.ReadableStream): () => string {
  const chunks: Buffer[] = [];
  let bytes = 0;
  stream.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes <= outputBytesMax) chunks.push(chunk);
  });
  return () => Buffer.concat(chunks).toString();
}

function killGroup(leader: number): void {
  try {
    process.kill(-leader, "SIGKILL");
  } catch {
    // It ended by itself in the meantime.
  }
}

function failure(program: string, status: number | string, said: string): AgentError {
  if (status === 127 && /^(setpriv|unshare): failed to execute/.test(said)) return missing([program]);
  const end = said.trim().split("\n").slice(-4).join(" | ").slice(-600);
  if (/No space left on device/.test(said)) return diskFull(program, end);
  return new AgentError("E_IMAGE_BUILD", `${program} ended with ${status}: ${end}`);
}

function missing(programs: readonly string[], cause?: unknown): AgentError {
  const packages = new Set(programs.map((program) => packageOf[program] ?? program));
  const install = `apt-get install -y --no-install-recommends ${[...packages].join(" ")}`;
  const verb = programs.length === 1 ? "is" : "are";
  const message = `${programs.join(", ")} ${verb} not installed; install with: ${install}`;
  return new AgentError("E_IMAGE_BUILD", message, cause);
}

/** `who` is what ran out of space; `detail` what it said. */
export function diskFull(who: string, detail: string, cause?: unknown): AgentError {
  const message = `${who} found no space left on the disk; free some and try again (${detail}).`;
  return new AgentError("E_DISK_FULL", message, cause);
}
