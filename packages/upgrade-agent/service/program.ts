/** Bringing `vm-supervise` into a domain, and calling it there. */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { AgentError } from "../errors.ts";
import type { ExecOptions, ExecResult, Session } from "../remote/index.ts";
import { quoteWord } from "../remote/shell.ts";

/** On the disk and not below /run, from which many systems start no programs. */
const directory = "/var/lib/version-manager";
const program = `${directory}/vm-supervise`;

interface Packed {
  /** First characters of the program's SHA-256. */
  readonly id: string;
  readonly gzipped: Buffer;
}

let packed: Promise<Packed> | undefined;

async function pack(): Promise<Packed> {
  const bytes = await readFile(builtProgram());
  const id = createHash("sha256").update(bytes).digest("hex").slice(0, 16);
  return { id, gzipped: await promisify(gzip)(bytes, { level: 9 }) };
}

/** Where the build puts it. Throws E_INTERNAL when nothing was built. */
export function builtProgram(): string {
  let root = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(root, "package.json"))) root = dirname(root);
  const file = join(root, "dist/service/inside/vm-supervise");
  if (existsSync(file)) return file;
  throw new AgentError(
    "E_INTERNAL",
    `${file} is missing; run "npm run build", or install Version Manager again.`,
  );
}

/**
 * Puts the program into the domain unless this very one is there; half a second in an emulated machine. A supervisor
 * that runs there goes on as it is. Throws E_SSH.
 */
export async function bringSupervisor(session: Session, signal: AbortSignal): Promise<void> {
  packed ??= pack();
  const { id, gzipped } = await packed;
  const present = await session.exec(`[ "$(cat ${program}.id)" = ${id} ]`, { signal });
  if (present.exitCode === 0) return;
  const script = [
    `set -e; umask 022; mkdir -p ${directory}`,
    // Two may do this at a time.
    `n=${program}.$$; gunzip >$n; chmod 755 $n; mv $n ${program}; echo ${id} >${program}.id`,
  ].join("\n");
  const { exitCode, output } = await session.exec(script, { stdin: Readable.from([gzipped]), signal });
  if (exitCode === 0) return;
  throw new AgentError(
    "E_SSH",
    `The supervisor could not be put into the domain: ${output.trim().slice(-300)}`,
  );
}

/** Whatever its exit status is. */
export function callSupervisor(
  session: Session,
  words: readonly string[],
  options: ExecOptions,
): Promise<ExecResult> {
  return session.exec(`exec ${[program, ...words].map(quoteWord).join(" ")}`, options);
}
