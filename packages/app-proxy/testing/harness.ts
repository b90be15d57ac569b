/**
 * A proxy without sockets: clients and fake versions in memory, time by hand, every order and split at the test's
 * choice. The core that runs is the one of production.
 */
import { DEFAULT_LIMITS } from "../connection/contract.ts";
import { VersionSet } from "../versions/version-set.ts";
import type { HarnessOptions } from "./contract.ts";
import { HarnessClient } from "./harness-client.ts";
import type { Stream } from "./stream.ts";

/** Deliveries in one run after which something goes in circles. */
const STEPS_MAX = 1_000_000;
/** Promises that lead from one to the next are followed this far. */
const TURNS = 20;

export class Harness {
  readonly versions: VersionSet;
  readonly #options: HarnessOptions;
  readonly #clients: HarnessClient[] = [];
  #nowMs = 0;

  constructor(options: HarnessOptions) {
    this.#options = options;
    this.versions = new VersionSet(options.versions);
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  /** Requests that handlers say are in flight, over all clients. */
  get requestsInFlight(): number {
    return this.#clients.reduce((sum, client) => sum + client.requestsInFlight, 0);
  }

  connect(): HarnessClient {
    const client = new HarnessClient({
      ...this.#options,
      serve: (side) => this.#options.serve(side),
      id: this.#clients.length + 1,
      versionSet: this.versions,
      limits: { ...DEFAULT_LIMITS, ...this.#options.limits },
      now: () => this.#nowMs,
    });
    this.#clients.push(client);
    return client;
  }

  setVersions(versions: readonly number[]): void {
    this.versions.replace(versions);
    for (const client of this.#clients) client.core.handle({ kind: "versions-changed" });
  }

  drain(): void {
    for (const client of this.#clients) client.core.handle({ kind: "drain" });
  }

  /** Delivers one thing; false when nothing is under way. */
  step(): boolean {
    const ready: Stream[] = [];
    for (const client of this.#clients) client.addReady(ready);
    const chosen = ready[(this.#options.choose ?? (() => 0))(ready.length)] ?? ready[0];
    if (chosen === undefined) return false;
    chosen.deliver(this.#options.cut ?? ((bytes) => bytes));
    return true;
  }

  /** Delivers until nothing is under way and no handler goes on by itself. Time stands still. */
  async run(): Promise<void> {
    let steps = 0;
    for (let idleTurns = 0; idleTurns < TURNS;) {
      if (this.step()) {
        idleTurns = 0;
        steps += 1;
        if (steps > STEPS_MAX) throw new Error(`still under way after ${STEPS_MAX} deliveries`);
      } else {
        idleTurns += 1;
        await Promise.resolve();
      }
    }
  }

  /** Lets time pass, from deadline to deadline, and delivers what comes of it. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms;
    await this.run();
    for (;;) {
      const nextMs = Math.min(...this.#clients.map((client) => client.wakeAtMs));
      if (nextMs > untilMs) break;
      this.#nowMs = Math.max(this.#nowMs, nextMs);
      for (const client of this.#clients) client.tick(this.#nowMs);
      await this.run();
    }
    this.#nowMs = untilMs;
  }
}
