/**
 * Lets several people trace at once: asks the data path for what any of them wants while there is one, and gives each
 * what is theirs, at their own pace within a bound.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { TraceFilter, TraceLine, TracedPacket } from "../control/contract.ts";
import type { DataPath, TraceBatch } from "../datapath/datapath.ts";
import { isAskedFor, unionOf } from "../datapath/trace-filter.ts";
import { RouterError } from "../errors.ts";

/** Each may have so many packets waiting; what is beyond is counted as missed. */
const BACKLOG_MAX = 10_000;
const TRACERS_MAX = 8;
/** A queue of 8,192 holds what 80,000 packets a second bring in this time. */
const POLL_MS = 100;

interface Tracer {
  readonly filter: TraceFilter;
  backlog: TracedPacket[];
  missed: number;
  unseen: readonly string[] | undefined;
  isOver: boolean;
  wake: () => void;
}

export class TraceHub {
  readonly #dataPath: DataPath;
  readonly #onFault: (error: unknown) => void;
  readonly #tracers = new Set<Tracer>();
  #polling: Promise<void> = Promise.resolve();

  constructor(dataPath: DataPath, onFault: (error: unknown) => void) {
    this.#dataPath = dataPath;
    this.#onFault = onFault;
  }

  /** Who traces now. */
  get size(): number {
    return this.#tracers.size;
  }

  /** Begins at once. Throws E_BAD_REQUEST when too many trace. */
  open(filter: TraceFilter, signal: AbortSignal): AsyncGenerator<TraceLine> {
    if (this.#tracers.size >= TRACERS_MAX) {
      const message = `${TRACERS_MAX} traces are under way, which is all that there may be; end one.`;
      throw new RouterError("E_BAD_REQUEST", message);
    }
    const tracer: Tracer = {
      filter,
      backlog: [],
      missed: 0,
      unseen: undefined,
      isOver: false,
      wake: () => undefined,
    };
    this.#tracers.add(tracer);
    if (this.#tracers.size === 1) this.#polling = this.#polling.then(() => this.#poll());
    const end = () => {
      this.#tracers.delete(tracer);
      tracer.isOver = true;
      tracer.wake();
    };
    signal.addEventListener("abort", end);
    if (signal.aborted) end();
    return this.#lines(tracer, () => {
      signal.removeEventListener("abort", end);
      end();
    });
  }

  /** Resolves when the data path has been told that nobody traces. */
  settle(): Promise<void> {
    return this.#polling;
  }

  async *#lines(tracer: Tracer, end: () => void): AsyncGenerator<TraceLine> {
    try {
      let isFirst = true;
      while (!tracer.isOver) {
        const { backlog, missed, unseen } = tracer;
        tracer.backlog = [];
        tracer.missed = 0;
        if (isFirst && unseen !== undefined) {
          yield* this.#notes(tracer.filter, unseen);
          isFirst = false;
        }
        yield* backlog;
        if (missed > 0) yield { type: "missed", packets: missed };
        const hasMore = tracer.backlog.length + tracer.missed > 0 || (isFirst && tracer.unseen !== undefined);
        if (hasMore || tracer.isOver) continue;
        await new Promise<void>((resolve) => (tracer.wake = resolve));
      }
    } finally {
      end();
    }
  }

  *#notes(filter: TraceFilter, unseen: readonly string[]): Generator<TraceLine> {
    const { kind } = this.#dataPath;
    yield { type: "note", code: "N_TRACING", message: `tracing the ${kind} data path` };
    const missing = unseen.filter((verdict) => filter.verdict === undefined || filter.verdict === verdict);
    if (missing.length === 0) return;
    const message = `the ${kind} data path counts these, but cannot show all of their packets: ${missing.join(", ")}`;
    yield { type: "note", code: "W_TRACE_PARTIAL", message };
  }

  /** While somebody traces. */
  async #poll(): Promise<void> {
    try {
      while (this.#tracers.size > 0) {
        const filters = [...this.#tracers].map(({ filter }) => filter);
        this.#share(await this.#dataPath.trace(unionOf(filters)));
        await sleep(POLL_MS);
      }
      await this.#dataPath.trace(undefined);
    } catch (error) {
      this.#onFault(error);
      for (const tracer of this.#tracers) {
        tracer.isOver = true;
        tracer.wake();
      }
      this.#tracers.clear();
    }
  }

  #share({ packets, missed, unseen }: TraceBatch): void {
    for (const tracer of this.#tracers) {
      const asked = packets.filter((packet) => isAskedFor(packet, tracer.filter));
      const fitting = asked.slice(0, Math.max(0, BACKLOG_MAX - tracer.backlog.length));
      tracer.backlog.push(...fitting);
      tracer.missed += missed + asked.length - fitting.length;
      tracer.unseen = unseen;
      tracer.wake();
    }
  }
}
