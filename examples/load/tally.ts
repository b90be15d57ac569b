/** Counts requests, failures and latencies, for the current second and for the whole run. */
import { createHistogram, type RecordableHistogram } from "node:perf_hooks";

export interface NodeCounts {
  readonly requests: number;
  readonly failed: number;
}

export interface Counts {
  readonly requests: number;
  readonly failed: number;
  /** Requests by why they failed: connect, reset, timeout, status-NNN, lost, stale, foreign. */
  readonly failedByReason: Readonly<Record<string, number>>;
  readonly byNode: Readonly<Record<string, NodeCounts>>;
  /** Transparent retries on a connection that the server had closed; each belongs to one request above. */
  readonly retries: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

/** One finished request. `reason` is undefined when it succeeded. */
export interface Finished {
  readonly node: string;
  readonly latencyMs: number;
  readonly retried: boolean;
  readonly reason: string | undefined;
}

const MICROSECONDS_PER_MS = 1000;

export class Tally {
  #requests = 0;
  #failed = 0;
  #retries = 0;
  readonly #reasons = new Map<string, number>();
  readonly #nodes = new Map<string, { requests: number; failed: number }>();
  readonly #latencies: RecordableHistogram = createHistogram();

  add({ node, latencyMs, retried, reason }: Finished): void {
    const counts = this.#nodes.get(node) ?? { requests: 0, failed: 0 };
    this.#nodes.set(node, counts);
    this.#requests += 1;
    counts.requests += 1;
    if (retried) this.#retries += 1;
    this.#latencies.record(Math.max(1, Math.round(latencyMs * MICROSECONDS_PER_MS)));
    if (reason === undefined) return;
    this.#failed += 1;
    counts.failed += 1;
    this.#reasons.set(reason, (this.#reasons.get(reason) ?? 0) + 1);
  }

  counts(): Counts {
    const ms = (microseconds: number): number =>
      this.#requests === 0 ? 0 : microseconds / MICROSECONDS_PER_MS;
    return {
      requests: this.#requests,
      failed: this.#failed,
      failedByReason: Object.fromEntries(this.#reasons),
      byNode: Object.fromEntries([...this.#nodes].map(([node, counts]) => [node, { ...counts }])),
      retries: this.#retries,
      p50Ms: ms(this.#latencies.percentile(50)),
      p99Ms: ms(this.#latencies.percentile(99)),
      maxMs: ms(this.#latencies.max),
    };
  }
}
