/**
 * Hears what proxy processes have to say, writes it into the journal, and sees to it that what is remembered there is
 * known to the next process: a version that was found sick stays out until it is readmitted or serves no more.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Journal, ProxyEventEntry } from "../journal/journal.ts";
import type { ProxySupervisor } from "../proxy/index.ts";

export interface ProxyWatchOptions {
  readonly journal: Pick<Journal, "addProxyEvent" | "forgetQuarantine" | "quarantines">;
  readonly proxies: Pick<ProxySupervisor, "has" | "keepOut" | "news" | "readmit">;
  /** Told of every event that is new. */
  readonly heard: (event: ProxyEventEntry) => void;
  readonly signal: AbortSignal;
}

/** Milliseconds that a process may keep the question, and until it is asked again when there is none. */
const waitMs = 20_000;
const againMs = 200;

export class ProxyWatch {
  readonly #options: ProxyWatchOptions;
  readonly #followed = new Set<string>();

  constructor(options: ProxyWatchOptions) {
    this.#options = options;
  }

  /** Before any process is started: tells the supervisor what an earlier agent knew. */
  remember(): void {
    const services = new Set(this.#options.journal.quarantines().map(({ service }) => service));
    for (const service of services) this.#tell(service);
  }

  /** Listens to the proxies of these services, as long as there are any; services that are followed already are none. */
  follow(services: Iterable<string>): void {
    for (const service of services) {
      if (this.#followed.has(service) || !this.#options.proxies.has(service)) continue;
      this.#followed.add(service);
      void this.#listen(service).finally(() => this.#followed.delete(service));
    }
  }

  /** Whether the version was kept out. Idempotent: after a death in the middle it is asked for again. */
  async readmit(service: string, version: number): Promise<boolean> {
    const known = this.#isQuarantined(service, version);
    const told = await this.#options.proxies.readmit(service, version);
    this.forget(service, version);
    return known || told;
  }

  /** The version serves no more, or is to serve again. */
  forget(service: string, version: number): void {
    if (!this.#isQuarantined(service, version)) return;
    this.#options.journal.forgetQuarantine(service, version);
    this.#tell(service);
  }

  async #listen(service: string): Promise<void> {
    const { proxies, signal } = this.#options;
    let since = { process: "", after: 0 };
    while (!signal.aborted && proxies.has(service)) {
      try {
        const news = await proxies.news(service, since, { waitMs, signal });
        if (news !== undefined) {
          this.#take(service, news.process, news.events);
          since = {
            process: news.process,
            after: news.events.at(-1)?.number ?? afterOf(since, news.process),
          };
          continue;
        }
      } catch {
        // It died, or is being replaced; the next one is asked.
      }
      await sleep(againMs, undefined, { signal }).catch(() => undefined);
    }
  }

  #take(
    service: string,
    process: string,
    events: readonly (Omit<ProxyEventEntry, "service" | "process" | "atMs"> & { readonly at: string })[],
  ): void {
    for (const { at, ...event } of events) {
      const entry = { ...event, service, process, atMs: Date.parse(at) };
      if (!this.#options.journal.addProxyEvent(entry)) continue;
      this.#tell(service);
      this.#options.heard(entry);
    }
  }

  #tell(service: string): void {
    const { journal, proxies } = this.#options;
    const ofService = journal.quarantines().filter((entry) => entry.service === service);
    proxies.keepOut(
      service,
      ofService.map(({ version }) => version),
    );
  }

  #isQuarantined(service: string, version: number): boolean {
    return this.#options.journal
      .quarantines()
      .some((entry) => entry.service === service && entry.version === version);
  }
}

function afterOf(since: { readonly process: string; readonly after: number }, process: string): number {
  return since.process === process ? since.after : 0;
}
