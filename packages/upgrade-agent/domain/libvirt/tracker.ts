/**
 * What we told about our domains, and what is news. libvirt's messages tell steps (defined, resumed, …); those who use
 * us want states, each once. Pure.
 */
import type { DomainEvent, DomainState, ListedDomain } from "../hypervisor.ts";

/** `virDomainEventType`, by what it means for the state; defining and shutting down do not change it. */
const STATE_AFTER: Readonly<Record<number, DomainState>> = {
  1: "absent",
  2: "running",
  3: "stopped",
  4: "running",
  5: "stopped",
  7: "stopped",
  8: "stopped",
};

export class DomainTracker {
  readonly #states = new Map<string, DomainState>();

  knows(name: string): boolean {
    return this.#states.has(name);
  }

  /** State that a message of this type leads to, or undefined when it says nothing of the state. */
  stateAfter(event: number): DomainState | undefined {
    return STATE_AFTER[event];
  }

  /** News in the complete list of our domains: also of those that are no longer in it. */
  compare(domains: readonly ListedDomain[]): DomainEvent[] {
    const present = new Set(domains.map((domain) => domain.name));
    const gone = [...this.#states.keys()].filter((name) => !present.has(name));
    const events = domains.flatMap(({ name, state }) => this.change(name, state));
    return [...events, ...gone.flatMap((name) => this.change(name, "absent"))];
  }

  /** The news in one domain's state: none when it was known. */
  change(name: string, state: DomainState): DomainEvent[] {
    const before = this.#states.get(name) ?? "absent";
    if (state === "absent") this.#states.delete(name);
    else this.#states.set(name, state);
    return before === state ? [] : [{ name, state }];
  }
}
