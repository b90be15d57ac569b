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

/** The supervisor: a script for busybox' shell, brought as it is but for its first line. */
export const supervisorProgram = packaged("service/inside/vm-supervise");

/** Of this machine, static as in every domain: for roots that have none, or one that can do less. */
const ownBusybox = "/bin/busybox";

interface Packed {
  /** First characters of the script's SHA-256. */
  readonly id: string;
  readonly gzipped: Buffer;
}

let packed: Promise<Packed> | undefined;

async function pack(): Promise<Packed> {
  const bytes = await readFile(supervisorProgram);
  const id = createHash("sha256").update(bytes).digest("hex").slice(0, 16);
  return { id, gzipped: await promisify(gzip)(bytes, { level: 9 }) };
}

/** Where a file of this package is, from its sources and from `dist`. */
function packaged(path: string): string {
  let root = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(root, "package.json"))) root = dirname(root);
  return join(root, path);
}

/** Exit status that says that the domain has no busybox that will do. */
const noBusybox = 42;

/**
 * Not all of them have all that is needed: those of initramfs tools lack most. Where there is one, its shell runs the
 * small programs itself; starting each takes 20 to 30 ms in an emulated machine.
 */
function installScript(id: string): string {
  const script = [
    `set -e; umask 022; mkdir -p ${directory}; own=`,
    `for b in /.version-manager/bin/busybox /bin/busybox ${directory}/busybox; do`,
    `  "$b" adjtimex >/dev/null 2>&1 && "$b" awk 'BEGIN { exit systime() < 1 }' 2>/dev/null && own=$b && break`,
    `done`,
    `[ -n "$own" ] || exit ${noBusybox}`,
    // Two may do this at a time.
    `n=${program}.$$; { echo "#!$own sh"; gunzip | sed 1d; } >$n; chmod 755 $n; mv $n ${program}; echo ${id} >${program}.id`,
  ].join("\n");
  return `exec $(command -v busybox) sh -c ${quoteWord(script)}`;
}

/**
 * Puts the program into the domain unless this very one is there. A supervisor that runs there goes on as it is. Throws
 * E_SSH.
 */
export async function bringSupervisor(session: Session, signal: AbortSignal): Promise<void> {
  packed ??= pack();
  const { id, gzipped } = await packed;
  const present = await session.exec(`[ "$(cat ${program}.id)" = ${id} ]`, { signal });
  if (present.exitCode === 0) return;
  const install = () => session.exec(installScript(id), { stdin: Readable.from([gzipped]), signal });
  let { exitCode, output } = await install();
  if (exitCode === noBusybox) {
    await bringBusybox(session, signal);
    ({ exitCode, output } = await install());
  }
  if (exitCode !== 0) throw notBrought(output);
}

async function bringBusybox(session: Session, signal: AbortSignal): Promise<void> {
  const stdin = Readable.from([await promisify(gzip)(await readFile(ownBusybox))]);
  const script = `n=${directory}/busybox.$$; gunzip >$n && chmod 755 $n && mv $n ${directory}/busybox`;
  const { exitCode, output } = await session.exec(script, { stdin, signal });
  if (exitCode !== 0) throw notBrought(output);
}

function notBrought(output: string): AgentError {
  const message = `The supervisor could not be put into the domain: ${output.trim().slice(-300)}`;
  return new AgentError("E_SSH", message);
}

/** Whatever its exit status is. */
export function callSupervisor(
  session: Session,
  words: readonly string[],
  options: ExecOptions,
): Promise<ExecResult> {
  return session.exec(`exec ${[program, ...words].map(quoteWord).join(" ")}`, options);
}
