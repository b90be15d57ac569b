/**
 * What a service's handlers say of themselves. It may have handlers of their own for its UDP ports; to whoever watches,
 * both are one, and a version that one of them finds sick is kept out by the other too: its data missed writes.
 */
import type { ProxyHandlers } from "../connection/contract.ts";
import { ProxyEvents } from "../policy/events.ts";
import type { FramedProxy } from "../policy/framed-proxy.ts";
import type { VersionCounts } from "../policy/options.ts";

/** The functions of a proxy made with the toolkit; a module's own handlers may have some, or none. */
type Side = ProxyHandlers & Partial<Omit<FramedProxy, keyof ProxyHandlers>>;

export class Watched {
  readonly #sides: readonly Side[];
  readonly #events = new ProxyEvents();

  constructor(handlers: ProxyHandlers) {
    this.#sides = handlers.datagrams === undefined ? [handlers] : [handlers, handlers.datagrams];
    for (const side of this.#sides) this.#listen(side);
  }

  /** Per version, since the start, of all sides together; undefined when no side counts. */
  counts(): Record<string, VersionCounts> | undefined {
    const told = this.#sides.flatMap((side) => (side.counts === undefined ? [] : [side.counts()]));
    if (told.length === 0) return undefined;
    const sums: Record<string, VersionCounts> = {};
    for (const [version, counts] of told.flatMap((side) => Object.entries(side))) {
      const sum = sums[version];
      sums[version] = sum === undefined ? { ...counts } : sumOf(sum, counts);
    }
    return sums;
  }

  /** Datagrams that no policy saw. */
  datagramDrops(): ReturnType<FramedProxy["datagramDrops"]> | undefined {
    return this.#sides.at(-1)?.datagramDrops?.();
  }

  /** Versions that run and are kept out; undefined when no side can do that. */
  quarantined(): readonly number[] | undefined {
    const told = this.#sides.flatMap((side) => (side.quarantined === undefined ? [] : [side.quarantined()]));
    return told.length === 0 ? undefined : [...new Set(told.flat())];
  }

  quarantine(version: number): void {
    for (const side of this.#sides) side.quarantine?.(version);
  }

  /** Returns whether any side kept it out. */
  readmit(version: number, nowMs: number): boolean {
    return this.#sides.map((side) => side.readmit?.(version, nowMs) ?? false).includes(true);
  }

  comparisons(): ReturnType<FramedProxy["comparisons"]> {
    return this.#sides.flatMap((side) => side.comparisons?.() ?? []);
  }

  events(): ReturnType<FramedProxy["events"]> {
    return this.#events.all();
  }

  /** Calls back after every event. The returned function ends that. */
  onEvent(told: () => void): () => void {
    return this.#events.onEvent(told);
  }

  #listen(side: Side): void {
    let seen = 0;
    side.onEvent?.(() => {
      for (const { number, ...event } of side.events?.() ?? []) {
        if (number <= seen) continue;
        seen = number;
        if (event.kind === "version-quarantined") this.quarantine(event.version);
        if (!this.#isKnown(event)) this.#events.add(event);
      }
    });
  }

  /** The other side has said so already. */
  #isKnown({ kind, version }: { readonly kind: string; readonly version: number }): boolean {
    return this.#events.all().findLast((event) => event.version === version)?.kind === kind;
  }
}

function sumOf(one: Readonly<VersionCounts>, other: Readonly<VersionCounts>): VersionCounts {
  const lastFailure = other.lastFailure ?? one.lastFailure;
  return {
    sent: one.sent + other.sent,
    replied: one.replied + other.replied,
    failed: one.failed + other.failed,
    retried: one.retried + other.retried,
    dropped: one.dropped + other.dropped,
    ...(lastFailure === undefined ? {} : { lastFailure }),
  };
}
