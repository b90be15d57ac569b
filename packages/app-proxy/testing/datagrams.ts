/**
 * A proxy of datagrams without sockets: clients and fake versions in memory, time by hand, every order, loss and
 * duplication at the test's choice. The core that runs is the one of production.
 */
import type { ProxyHandlers } from "../connection/contract.ts";
import {
  DEFAULT_FLOW_LIMITS,
  type DatagramCounts,
  type FlowAction,
  type FlowLimits,
} from "../datagram/contract.ts";
import { Flow } from "../datagram/flow.ts";
import { VersionSet } from "../versions/version-set.ts";

/** What becomes of a datagram on its way: `twice` delivers it now, and once more when its copy has its turn. */
export type DatagramFate = "arrives" | "lost" | "twice";

export type DatagramLeg = "client-proxy" | "proxy-server" | "server-proxy" | "proxy-client";

export interface DatagramHarnessOptions {
  readonly handlers: ProxyHandlers;
  readonly versions: readonly number[];
  /**
   * What a version answers to a datagram; several, none, or `refuse`: nobody listens there. `source`: tells the proxy's
   * ports apart, as a server can.
   */
  serve(
    version: number,
    bytes: Buffer,
    source: string,
  ): readonly Uint8Array[] | Uint8Array | "refuse" | undefined;
  /** Which of `count` datagrams under way arrives next. Default: the oldest. */
  readonly choose?: (count: number) => number;
  /** Default: each arrives. */
  readonly fate?: (leg: DatagramLeg) => DatagramFate;
  readonly limits?: Partial<FlowLimits>;
}

/** A client address and port. */
export interface DatagramClient {
  readonly name: string;
  /** What has arrived, in order. */
  readonly received: Buffer[];
  readonly linkCount: number;
  send(data: Uint8Array | string): void;
}

interface Parcel {
  readonly leg: DatagramLeg;
  readonly deliver: () => void;
}

const STEPS_MAX = 1_000_000;

export class DatagramHarness {
  readonly versions: VersionSet;
  readonly counts: DatagramCounts = { overflowed: 0, failed: 0, evicted: 0 };
  readonly #options: DatagramHarnessOptions;
  readonly #underWay: Parcel[] = [];
  readonly #flows = new Map<string, FlowState>();
  readonly #promises = new Set<Promise<unknown>>();
  #clients = 0;
  #open = 0;
  #nowMs = 0;

  constructor(options: DatagramHarnessOptions) {
    this.#options = options;
    this.versions = new VersionSet(options.versions);
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  /** Requests in flight that a change of versions must wait for. */
  get requestsInFlight(): number {
    return this.#open;
  }

  connect(): DatagramClient {
    const name = `client-${(this.#clients += 1)}`;
    const received: Buffer[] = [];
    const flows = this.#flows;
    return {
      name,
      received,
      get linkCount() {
        return flows.get(name)?.flow.linkCount ?? 0;
      },
      send: (data) => {
        const bytes = Buffer.from(data);
        this.#post("client-proxy", () => {
          const { flow } = this.#flows.get(name) ?? this.#newFlow(name, received);
          flow.handle({ kind: "client-datagram", bytes });
        });
      },
    };
  }

  setVersions(versions: readonly number[]): void {
    this.versions.replace(versions);
    for (const { flow } of Array.from(this.#flows.values())) flow.handle({ kind: "versions-changed" });
  }

  drain(): void {
    for (const { flow } of Array.from(this.#flows.values())) flow.handle({ kind: "drain" });
  }

  /** Decides about one datagram; false when none is under way. */
  step(): boolean {
    const { choose = () => 0, fate = () => "arrives" } = this.#options;
    if (this.#underWay.length === 0) return false;
    const index = Math.max(0, Math.min(this.#underWay.length - 1, choose(this.#underWay.length)));
    const parcel = this.#underWay.splice(index, 1)[0] as Parcel;
    const what = fate(parcel.leg);
    if (what === "twice") this.#underWay.push(parcel);
    if (what !== "lost") parcel.deliver();
    return true;
  }

  /** Until no datagram is under way and no handler goes on by itself. Time stands still. */
  async run(): Promise<void> {
    for (let steps = 0; ; steps += 1) {
      if (steps > STEPS_MAX) throw new Error(`still under way after ${STEPS_MAX} datagrams`);
      if (this.step()) continue;
      await Promise.resolve();
      if (this.#promises.size > 0) await Promise.all(this.#promises);
      else if (this.#underWay.length === 0) return;
    }
  }

  /** Lets time pass, from deadline to deadline, and delivers what comes of it. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms;
    await this.run();
    for (;;) {
      const due = [...this.#flows.values()].toSorted((left, right) => left.wakeAtMs - right.wakeAtMs)[0];
      if (due === undefined || due.wakeAtMs > untilMs) break;
      this.#nowMs = Math.max(this.#nowMs, due.wakeAtMs);
      due.wakeAtMs = Infinity;
      due.flow.handle({ kind: "tick" });
      await this.run();
    }
    this.#nowMs = untilMs;
  }

  #post(leg: DatagramLeg, deliver: () => void): void {
    this.#underWay.push({ leg, deliver });
  }

  #newFlow(name: string, received: Buffer[]): FlowState {
    const flow: Flow = new Flow({
      id: this.#clients,
      clientAddress: name,
      handlers: this.#options.handlers,
      versions: this.versions,
      limits: { ...DEFAULT_FLOW_LIMITS, ...this.#options.limits },
      counts: this.counts,
      now: () => this.#nowMs,
      emit: (action) => this.#perform(state, name, received, action),
      trackRequest: () => {
        this.#open += 1;
        return () => (this.#open -= 1);
      },
    });
    const state: FlowState = { flow, links: new Map(), wakeAtMs: Infinity };
    this.#flows.set(name, state);
    return state;
  }

  #perform(state: FlowState, name: string, received: Buffer[], action: FlowAction): void {
    switch (action.kind) {
      case "client-send":
        return this.#post("proxy-client", () => received.push(action.bytes));
      case "open":
        return void state.links.set(action.link, action.version);
      case "server-send":
        return this.#post("proxy-server", () => this.#serve(state, name, action.link, action.bytes));
      case "server-close":
        return void state.links.delete(action.link);
      case "await": {
        const settled = action.promise.finally(() => {
          this.#promises.delete(settled);
          state.flow.handle({ kind: "handled", token: action.token });
        });
        return void this.#promises.add(settled);
      }
      case "wake-at":
        state.wakeAtMs = action.atMs;
        return;
      case "closed":
        if (this.#flows.get(name) === state) this.#flows.delete(name);
    }
  }

  #serve(state: FlowState, name: string, link: number, bytes: Buffer): void {
    const version = state.links.get(link);
    // The port is closed; the datagram has long left it all the same, but who is asked is not known any more.
    if (version === undefined) return;
    const answer = this.#options.serve(version, bytes, `${name}/${link}`);
    if (answer === "refuse") {
      return state.flow.handle({ kind: "server-lost", link, refused: true, detail: "refused" });
    }
    for (const reply of answer instanceof Uint8Array ? [answer] : (answer ?? [])) {
      this.#post("server-proxy", () => {
        if (state.links.has(link))
          state.flow.handle({ kind: "server-datagram", link, bytes: Buffer.from(reply) });
      });
    }
  }
}

interface FlowState {
  readonly flow: Flow;
  /** Versions by the number of the link. */
  readonly links: Map<number, number>;
  wakeAtMs: number;
}
