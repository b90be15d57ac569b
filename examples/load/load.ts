/**
 * Steady client load on the example service, and the judge of its answers. A request fails when it gets no answer, a
 * status other than 2xx, or an answer to a read that is older than the last write acknowledged before the read was
 * sent, through whichever node either went.
 */
import { setMaxListeners } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { HttpClient, type Outcome } from "./http-client.ts";
import { KeyBook } from "./key-book.ts";
import { Tally, type Counts } from "./tally.ts";

export interface LoadOptions {
  /** Base addresses of the nodes, `http://10.77.0.1`. */
  readonly urls: readonly string[];
  /** Requests per second over all workers. Default 60; a slow service gets fewer, never a burst afterwards. */
  readonly ratePerSecond?: number;
  /** Requests under way at the same time, at most. Default 12. */
  readonly workers?: number;
  /** Number of keys, at least one per worker. Default 2,000. */
  readonly keys?: number;
  /** Begins every key, so that runs do not meet. Default from time and process id. */
  readonly keyPrefix?: string;
  /** Default 100. */
  readonly valueBytes?: number;
  /** Share of writes, 0 to 1. Default 0.5. */
  readonly writeShare?: number;
  /** Default 10,000. */
  readonly timeoutMs?: number;
  /** Default 100. */
  readonly requestsPerConnection?: number;
  /** Called once a second with the counts of that second and of the run. */
  readonly onProgress?: (progress: Progress) => void;
}

export interface Progress {
  readonly seconds: number;
  readonly lastSecond: Counts;
  readonly total: Counts;
}

export interface Failure {
  readonly atMs: number;
  readonly node: string;
  readonly request: string;
  readonly reason: string;
  readonly message: string;
}

export interface Summary extends Counts {
  readonly seconds: number;
  readonly acknowledgedKeys: number;
  readonly acknowledgedWrites: number;
  /** The first failures, at most 50. */
  readonly failures: readonly Failure[];
}

export interface Verification {
  readonly node: string;
  readonly keys: number;
  readonly failed: number;
  readonly failedByReason: Readonly<Record<string, number>>;
  readonly failures: readonly Failure[];
}

const FAILURES_KEPT = 50;
const PROGRESS_MS = 1000;
const VERIFY_CONCURRENCY = 8;

export class Load {
  readonly #urls: readonly string[];
  readonly #options: Required<Omit<LoadOptions, "urls" | "onProgress">>;
  readonly #onProgress: (progress: Progress) => void;
  readonly #book: KeyBook;
  readonly #client: HttpClient;
  readonly #total = new Tally();
  readonly #failures: Failure[] = [];
  readonly #stopped = new AbortController();
  #second = new Tally();
  #acknowledgedWrites = 0;
  #startedAtMs = 0;
  #running: Promise<unknown> = Promise.resolve();
  #endedAtMs: number | undefined;

  constructor({ urls, onProgress, ...options }: LoadOptions) {
    if (urls.length === 0) throw new RangeError("name at least one node");
    this.#urls = urls;
    this.#onProgress = onProgress ?? (() => undefined);
    this.#options = {
      ratePerSecond: 60,
      workers: 12,
      keys: 2000,
      keyPrefix: `load-${Date.now().toString(36)}-${process.pid}`,
      valueBytes: 100,
      writeShare: 0.5,
      timeoutMs: 10_000,
      requestsPerConnection: 100,
      ...options,
    };
    const { keyPrefix: prefix, keys, valueBytes, workers } = this.#options;
    if (keys < workers) throw new RangeError("every worker needs a key of its own");
    this.#book = new KeyBook({ prefix, keys, valueBytes });
    this.#client = new HttpClient(this.#options);
  }

  start(): void {
    this.#startedAtMs = performance.now();
    setMaxListeners(this.#options.workers, this.#stopped.signal);
    const workers = Array.from({ length: this.#options.workers }, (_, number) => this.#work(number));
    const timer = setInterval(() => this.#report(), PROGRESS_MS);
    this.#running = Promise.all(workers).finally(() => {
      clearInterval(timer);
      this.#endedAtMs = performance.now();
    });
  }

  /** Lets the requests under way end. */
  async stop(): Promise<Summary> {
    this.#stopped.abort();
    await this.#running;
    return this.summary();
  }

  summary(): Summary {
    return {
      ...this.#total.counts(),
      seconds: this.#seconds(),
      acknowledgedKeys: this.#book.acknowledgedKeys().length,
      acknowledgedWrites: this.#acknowledgedWrites,
      failures: this.#failures,
    };
  }

  /** Reads every key with an acknowledged write back from one node. To be called after `stop`. */
  async verify(url: string): Promise<Verification> {
    const keys = this.#book.acknowledgedKeys();
    const tally = new Tally();
    const failures: Failure[] = [];
    let next = 0;
    const reader = async (): Promise<void> => {
      for (let index = keys[next++]; index !== undefined; index = keys[next++]) {
        await this.#read(url, index, [tally], failures);
      }
    };
    await Promise.all(Array.from({ length: VERIFY_CONCURRENCY }, reader));
    const { failed, failedByReason } = tally.counts();
    return { node: url, keys: keys.length, failed, failedByReason, failures };
  }

  close(): void {
    this.#client.close();
  }

  #seconds(): number {
    return ((this.#endedAtMs ?? performance.now()) - this.#startedAtMs) / 1000;
  }

  #report(): void {
    const lastSecond = this.#second.counts();
    this.#second = new Tally();
    this.#onProgress({ seconds: this.#seconds(), lastSecond, total: this.#total.counts() });
  }

  /** One worker: alone in writing its keys, so the sequence of their values is the order of their writes. */
  async #work(number: number): Promise<void> {
    const { workers, ratePerSecond, writeShare, keys } = this.#options;
    const intervalMs = (workers * 1000) / ratePerSecond;
    let dueMs = performance.now() + (number / workers) * intervalMs;
    const ownKeys = Math.floor((keys - 1 - number) / workers) + 1;
    for (;;) {
      await sleep(Math.max(0, dueMs - performance.now()), undefined, { signal: this.#stopped.signal }).catch(
        () => undefined,
      );
      if (this.#stopped.signal.aborted) return;
      const url = this.#urls[Math.floor(Math.random() * this.#urls.length)] as string;
      const tallies = [this.#second, this.#total];
      if (Math.random() < writeShare) {
        await this.#write(url, number + workers * Math.floor(Math.random() * ownKeys), tallies);
      } else {
        await this.#read(url, this.#book.pickRead(Math.random), tallies, this.#failures);
      }
      dueMs = Math.max(dueMs + intervalMs, performance.now());
    }
  }

  async #write(node: string, index: number, tallies: readonly Tally[]): Promise<void> {
    const { key, sequence, value } = this.#book.beginWrite(index);
    const startedMs = performance.now();
    const outcome = await this.#client.request(node, "PUT", `/kv/${key}`, value);
    const reason = failureOf(outcome);
    if (reason === undefined) {
      this.#book.acknowledge(index, sequence);
      this.#acknowledgedWrites += 1;
    }
    this.#note(
      { node, request: `PUT ${key} ${sequence}`, outcome, reason, startedMs },
      tallies,
      this.#failures,
    );
  }

  async #read(node: string, index: number, tallies: readonly Tally[], failures: Failure[]): Promise<void> {
    const atLeast = this.#book.acknowledged(index);
    const key = this.#book.key(index);
    const startedMs = performance.now();
    const outcome = await this.#client.request(node, "GET", `/kv/${key}`);
    const missing = outcome.kind === "answer" && outcome.status === 404;
    const value = outcome.kind === "answer" && !missing ? outcome.body : undefined;
    const reason = (missing ? undefined : failureOf(outcome)) ?? this.#book.judge(index, atLeast, value);
    this.#note({ node, request: `GET ${key} ${atLeast}`, outcome, reason, startedMs }, tallies, failures);
  }

  #note(
    done: { node: string; request: string; outcome: Outcome; reason: string | undefined; startedMs: number },
    tallies: readonly Tally[],
    failures: Failure[],
  ): void {
    const { node, request, outcome, reason, startedMs } = done;
    const latencyMs = performance.now() - startedMs;
    for (const tally of tallies) tally.add({ node, latencyMs, retried: outcome.retried, reason });
    if (reason === undefined || failures.length >= FAILURES_KEPT) return;
    const message = outcome.kind === "answer" ? outcome.body.slice(0, 200) : outcome.message;
    failures.push({ atMs: Date.now(), node, request, reason, message });
  }
}

function failureOf(outcome: Outcome): string | undefined {
  if (outcome.kind === "failure") return outcome.reason;
  return outcome.status >= 200 && outcome.status < 300 ? undefined : `status-${outcome.status}`;
}
