/** What a proxy has to tell those who watch over it: the last events, numbered. */

export interface ProxyEvent {
  /** 1, 2, 3 … since the start of the process. */
  readonly number: number;
  /** Of the connections' clock. */
  readonly atMs: number;
  readonly kind: "version-quarantined" | "version-readmitted";
  readonly version: number;
  /** For people. */
  readonly detail: string;
}

/** Events that are kept; who does not look for longer misses the oldest, and sees it by the numbers. */
const EVENTS_MAX = 100;

export class ProxyEvents {
  readonly #events: ProxyEvent[] = [];
  readonly #listeners = new Set<() => void>();
  #next = 1;

  add(event: Omit<ProxyEvent, "number">): void {
    this.#events.push({ ...event, number: this.#next++ });
    if (this.#events.length > EVENTS_MAX) this.#events.shift();
    for (const told of Array.from(this.#listeners)) told();
  }

  /** Calls back after every event. The returned function ends that. */
  onEvent(told: () => void): () => void {
    this.#listeners.add(told);
    return () => this.#listeners.delete(told);
  }

  /** Oldest first. */
  all(): readonly ProxyEvent[] {
    return [...this.#events];
  }
}
