/** Hands every event to everyone who listens, each at its own pace within a bound. */
import type { RouterEvent } from "../control/contract.ts";

/** Events that wait for one listener. Beyond this its stream ends; it comes again and gets everything anew. */
const BACKLOG_MAX = 10_000;

interface Listener {
  readonly backlog: RouterEvent[];
  wake: () => void;
  overrun: boolean;
}

export class NewsFeed {
  readonly #listeners = new Set<Listener>();

  /** Streams that are open now. */
  get size(): number {
    return this.#listeners.size;
  }

  publish(event: RouterEvent): void {
    for (const listener of this.#listeners) {
      if (listener.backlog.length >= BACKLOG_MAX) listener.overrun = true;
      else listener.backlog.push(event);
      listener.wake();
    }
  }

  /** `history()` first, then all that is published after this call, until aborted or too slow. */
  async *stream(history: () => readonly RouterEvent[], signal: AbortSignal): AsyncGenerator<RouterEvent> {
    const listener: Listener = { backlog: [], wake: () => undefined, overrun: false };
    const wake = () => listener.wake();
    this.#listeners.add(listener);
    signal.addEventListener("abort", wake);
    try {
      yield* history();
      while (!signal.aborted && !listener.overrun) {
        const next = listener.backlog.splice(0);
        if (next.length > 0) yield* next;
        else await new Promise<void>((resolve) => (listener.wake = resolve));
      }
    } finally {
      signal.removeEventListener("abort", wake);
      this.#listeners.delete(listener);
    }
  }
}
