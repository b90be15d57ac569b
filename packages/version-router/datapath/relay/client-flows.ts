/** Which domain a client's datagrams go to: the one that it began with, for as long as it goes on. Pure. */
import { formatAddress } from "./endpoint.ts";
import type { Endpoint } from "./endpoint.ts";

/** A client that is silent for so long is gone; the kernel's data path and the set of nftables have the same. */
const IDLE_MS = 30_000;
/** As the set of nftables has. */
const FLOWS_MAX = 65_535;

export interface ClientFlow {
  readonly client: Endpoint;
  readonly localPort: number;
  readonly slot: number;
  lastSeenMs: number;
}

export class ClientFlows {
  readonly #flows = new Map<string, ClientFlow>();
  readonly #nowMs: () => number;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** A client speaks: the slot of its domain, where a new client goes to `choose()`. */
  ask(client: Endpoint, localPort: number, choose: () => number | undefined): number | undefined {
    const flow = this.#live(client, localPort);
    if (flow !== undefined) return flow.slot;
    const slot = choose();
    if (slot !== undefined) this.#begin(client, localPort, slot);
    return slot;
  }

  /** A domain speaks to a client, perhaps first. False when the client is another domain's. */
  answer(client: Endpoint, localPort: number, slot: number): boolean {
    const flow = this.#live(client, localPort);
    if (flow === undefined) this.#begin(client, localPort, slot);
    return flow === undefined || flow.slot === slot;
  }

  count(slot: number): number {
    this.#expire();
    return [...this.#flows.values()].filter((flow) => flow.slot === slot).length;
  }

  /** Forgets the clients of a slot; returns how many there were. */
  forget(slot: number): number {
    this.#expire();
    const keys = [...this.#flows].filter(([, flow]) => flow.slot === slot).map(([key]) => key);
    for (const key of keys) this.#flows.delete(key);
    return keys.length;
  }

  /** As elements of the set of nftables: `10.0.0.1 . 5000 . 53`. */
  elements(): readonly string[] {
    this.#expire();
    return [...this.#flows.values()].map(
      ({ client, localPort }) => `${formatAddress(client.address)} . ${client.port} . ${localPort}`,
    );
  }

  all(): readonly ClientFlow[] {
    this.#expire();
    return [...this.#flows.values()];
  }

  #live(client: Endpoint, localPort: number): ClientFlow | undefined {
    const flow = this.#flows.get(key(client, localPort));
    const now = this.#nowMs();
    if (flow === undefined || now - flow.lastSeenMs >= IDLE_MS) return undefined;
    flow.lastSeenMs = now;
    return flow;
  }

  #begin(client: Endpoint, localPort: number, slot: number): void {
    if (this.#flows.size >= FLOWS_MAX) this.#expire();
    if (this.#flows.size >= FLOWS_MAX) return;
    this.#flows.set(key(client, localPort), { client, localPort, slot, lastSeenMs: this.#nowMs() });
  }

  #expire(): void {
    const now = this.#nowMs();
    for (const [key, flow] of this.#flows) if (now - flow.lastSeenMs >= IDLE_MS) this.#flows.delete(key);
  }
}

function key({ address, port }: Endpoint, localPort: number): string {
  return `${address} ${port} ${localPort}`;
}
