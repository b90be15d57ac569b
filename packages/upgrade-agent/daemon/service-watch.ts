/**
 * Listens to the supervisor of every domain whose service was started: what it tells goes into the journal, where the
 * next agent goes on reading, and what it means to whom it concerns. Keeps the domains' clocks with the node's, too.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { OutputLine, SaidLog } from "../journal/said.ts";
import type { Upgrade } from "../lifecycle/machine.ts";
import { isBetween } from "../lifecycle/stages.ts";
import type { Session } from "../remote/index.ts";
import { followService, mustSetClock, readClock, shiftClock } from "../service/control.ts";
import { bringSupervisor } from "../service/program.ts";
import { describeRecord, type ServiceRecord, sourceOf } from "../service/records.ts";
import { missedBetween, nextState, type ServiceState } from "../service/state.ts";

type Version = Pick<Upgrade, "service" | "version">;

export interface ServiceWatchParts {
  readonly said: Pick<SaidLog, "serviceEntry" | "addServiceLines">;
  readonly withSession: (
    version: Version,
    signal: AbortSignal,
    use: (session: Session) => Promise<void>,
  ) => Promise<void>;
  readonly now: () => number;
  readonly log: (line: string) => void;
  readonly note: (version: Version, source: string, text: string) => void;
  /** A service that gave up, or runs again after that, once for each time. */
  readonly changed: (version: Version, state: ServiceState) => void;
}

/** Pauses between two tries to reach a domain that does not answer, ms. */
const pauseFirstMs = 500;
const pauseMostMs = 15_000;
/** Lines are kept so long before they are written together, ms: each writing waits for the disk. */
const gatherMs = 250;
/** Between two looks at a domain's clock, ms; emulated clocks drift by milliseconds in this time. */
const clockEveryMs = 60_000;

export class ServiceWatch {
  readonly #parts: ServiceWatchParts;
  readonly #watched = new Map<
    string,
    { readonly controller: AbortController; readonly ended: Promise<void> }
  >();
  readonly #clocks = new Map<string, number>();

  constructor(parts: ServiceWatchParts) {
    this.#parts = parts;
  }

  /** Exactly those of these are listened to whose service was started and has not ended for good. */
  follow(upgrades: readonly Upgrade[]): void {
    const wanted = new Map(
      upgrades
        .filter(({ stage }) => isBetween(stage, "starting", "draining"))
        .map((row) => [keyOf(row), row]),
    );
    for (const [key, { controller }] of this.#watched) if (!wanted.has(key)) controller.abort();
    for (const [key, { service, version }] of wanted) {
      if (this.#watched.has(key)) continue;
      const controller = new AbortController();
      const ended = this.#watch({ service, version }, controller.signal).finally(() => {
        this.#watched.delete(key);
        this.#clocks.delete(key);
      });
      this.#watched.set(key, { controller, ended });
    }
  }

  async stop(): Promise<void> {
    const all = [...this.#watched.values()];
    for (const { controller } of all) controller.abort();
    await Promise.all(all.map(({ ended }) => ended));
  }

  /** By how much the domain's clock is ahead at least, ms; undefined while nobody has looked. */
  clockOffsetMs(version: Version): number | undefined {
    return this.#clocks.get(keyOf(version));
  }

  /** Never throws: a domain that does not answer is asked again. */
  async #watch(version: Version, signal: AbortSignal): Promise<void> {
    let pauseMs = pauseFirstMs;
    while (!signal.aborted) {
      try {
        await this.#parts.withSession(version, signal, async (session) => {
          await bringSupervisor(session, signal);
          pauseMs = pauseFirstMs;
          await this.#attend(version, session, signal);
        });
      } catch {
        // The domain ended or was cut off; whether it has to be made anew is not for us to say.
      }
      await sleep(pauseMs, undefined, { signal }).catch(() => {});
      pauseMs = Math.min(pauseMostMs, pauseMs * 2);
    }
  }

  async #attend(version: Version, session: Session, signal: AbortSignal): Promise<void> {
    const connection = new AbortController();
    const both = AbortSignal.any([signal, connection.signal]);
    const clock = this.#keepClock(version, session, both).catch(() => {});
    const gathered: ServiceRecord[] = [];
    let timer: NodeJS.Timeout | undefined;
    const write = (): void => {
      timer = undefined;
      this.#keep(version, gathered.splice(0));
    };
    try {
      const { lastNumber } = this.#parts.said.serviceEntry(version.service, version.version);
      const hear = (records: readonly ServiceRecord[]): void => {
        gathered.push(...records);
        timer ??= setTimeout(write, gatherMs);
      };
      await followService(session, lastNumber, hear, both);
    } finally {
      clearTimeout(timer);
      if (!signal.aborted) write();
      connection.abort();
      await clock;
    }
  }

  /** What came after the agent was told to stop, the next one reads again: nothing is written when it is not complete. */
  #keep(version: Version, records: readonly ServiceRecord[]): void {
    if (records.length === 0) return;
    const { said, log, changed } = this.#parts;
    let { lastNumber, state } = said.serviceEntry(version.service, version.version);
    const lines: OutputLine[] = [];
    const changes: ServiceState[] = [];
    for (const record of records) {
      const { atMs, number } = record;
      const missed = missedBetween(lastNumber, number);
      if (missed > 0)
        lines.push({ atMs, source: "service", text: `${missed} lines before this were not kept` });
      lines.push({ atMs, source: sourceOf(record), text: describeRecord(record) });
      const next = nextState(state, record);
      if (next !== undefined && ["started", "failed"].includes(record.kind)) changes.push(next);
      lastNumber = number;
      state = next;
    }
    said.addServiceLines(version.service, version.version, lines, { lastNumber, state });
    for (const line of lines.filter(({ source }) => source === "service"))
      log(`${keyOf(version)}: service: ${line.text}`);
    for (const change of changes) changed(version, change);
  }

  async #keepClock(version: Version, session: Session, signal: AbortSignal): Promise<void> {
    for (;;) {
      let reading = await readClock(session, this.#parts.now, signal);
      if (reading !== undefined && mustSetClock(reading)) {
        const seconds = Math.abs(reading.offsetMs / 1000).toFixed(1);
        const where = reading.offsetMs > 0 ? "ahead of" : "behind";
        const text = `the domain's clock was ${seconds} s ${where} the node's; it is set`;
        this.#parts.note(version, "agent", text);
        await shiftClock(session, -reading.offsetMs, signal).catch((error: unknown) => {
          signal.throwIfAborted();
          this.#parts.note(version, "agent", (error as Error).message);
        });
        reading = await readClock(session, this.#parts.now, signal);
      }
      if (reading !== undefined) {
        const sureMs = Math.max(0, Math.abs(reading.offsetMs) - reading.uncertaintyMs);
        this.#clocks.set(keyOf(version), Math.round(Math.sign(reading.offsetMs) * sureMs));
      }
      await sleep(clockEveryMs, undefined, { signal });
    }
  }
}

function keyOf({ service, version }: Version): string {
  return `${service} ${version}`;
}
