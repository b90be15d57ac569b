/** Starting, stopping and following the service of a domain, and its clock: what the agent asks the supervisor for. */
import { Readable } from "node:stream";
import { AgentError } from "../errors.ts";
import type { Manifest } from "../release/contract.ts";
import type { Session } from "../remote/index.ts";
import { stopTimeoutOf, supervisorOptions } from "./policy.ts";
import { bringSupervisor, callSupervisor } from "./program.ts";
import { LineSplitter, parseRecord, type ServiceRecord } from "./records.ts";

export interface StartRequest {
  readonly manifest: Manifest;
  /** That the hooks run in. */
  readonly directory: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

/** A service that is supervised already, from an earlier try, is left alone. Throws E_HOOK_FAILED, E_SSH. */
export async function startService(session: Session, request: StartRequest): Promise<void> {
  const { manifest, directory, environment, signal } = request;
  await bringSupervisor(session, signal);
  const { start, stop } = manifest.hooks;
  const commands = [start, ...(stop === undefined ? [] : [stop])].map(
    ({ command }) => `${Buffer.from(command).toString("base64")}\n`,
  );
  const { exitCode, output } = await callSupervisor(
    session,
    ["start", ...supervisorOptions(manifest, directory)],
    { env: environment, stdin: Readable.from([Buffer.from(commands.join(""))]), signal },
  );
  if (exitCode !== 0) throw new AgentError("E_HOOK_FAILED", `The service could not be started: ${output}`);
}

/** Beyond the time that the service has: for the supervisor to kill what is left, and for a slow domain to answer. */
const stopGraceMs = 30_000;

/**
 * By its stop hook or SIGTERM, and SIGKILL when its time is over; returns when it has ended. A domain without a
 * supervisor has no service that could be stopped. Throws E_HOOK_FAILED, E_SSH, E_DEADLINE.
 */
export async function stopService(session: Session, manifest: Manifest, signal: AbortSignal): Promise<void> {
  const timeoutMs = stopTimeoutOf(manifest) + stopGraceMs;
  const { exitCode, output } = await callSupervisor(session, ["stop"], { timeoutMs, signal });
  if (exitCode === 0 || exitCode === 127) return;
  throw new AgentError("E_HOOK_FAILED", `The service could not be stopped: ${output.trim().slice(-300)}`);
}

/** One command follows for so long; then another takes over. */
const followMs = 86_400_000;

/** Hears records after a number, until the connection ends or `signal` aborts; then it throws or returns. */
export async function followService(
  session: Session,
  after: number,
  hear: (records: readonly ServiceRecord[]) => void,
  signal: AbortSignal,
): Promise<void> {
  const lines = new LineSplitter();
  const onOutput = (text: string, stream: "stdout" | "stderr"): void => {
    if (stream === "stderr") return;
    const records = lines
      .push(text)
      .map(parseRecord)
      .filter((record) => record !== undefined);
    if (records.length > 0) hear(records);
  };
  await callSupervisor(session, ["follow", String(after)], { onOutput, timeoutMs: followMs, signal });
}

export interface ClockReading {
  /** The domain's clock is ahead of ours by so much, ms. */
  readonly offsetMs: number;
  /** It may be wrong by so much, either way, ms: half of the time that asking took. */
  readonly uncertaintyMs: number;
}

/** As NTP does it, with one exchange over SSH. Undefined when the domain does not answer sense. */
export async function readClock(
  session: Session,
  now: () => number,
  signal: AbortSignal,
): Promise<ClockReading | undefined> {
  const askedAtMs = now();
  const { exitCode, output } = await callSupervisor(session, ["clock"], { signal });
  const heardAtMs = now();
  if (exitCode !== 0 || !/^\d{1,15}\n$/.test(output)) return undefined;
  const uncertaintyMs = (heardAtMs - askedAtMs) / 2;
  return { offsetMs: Number(output) - askedAtMs - uncertaintyMs, uncertaintyMs };
}

/** A clock that is off by more than this is set, ms; what matters to people and to certificates is a second. */
export const clockOffsetMaxMs = 500;

/** Whether a reading shows, beyond its uncertainty, that the clock has to be set. Pure. */
export function mustSetClock({ offsetMs, uncertaintyMs }: ClockReading): boolean {
  return Math.abs(offsetMs) - uncertaintyMs > clockOffsetMaxMs;
}

/** By the difference and not to a time, so that it does not matter how long the command takes to get there. */
export async function shiftClock(session: Session, byMs: number, signal: AbortSignal): Promise<void> {
  const { exitCode, output } = await callSupervisor(session, ["clock", String(Math.round(byMs))], { signal });
  if (exitCode !== 0) throw new AgentError("E_SSH", `The domain's clock could not be set: ${output.trim()}`);
}
