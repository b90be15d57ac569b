/**
 * A fleet in one process and in virtual time: every node is the router's own gossip core, polled as its daemon polls
 * it, and joined to the others by application traffic, by direct marks, or by both.
 *
 * Time goes in steps of 25 ms. Each node polls every 250 ms and sends one request per round (one second) to one of
 * its overlay neighbours, chosen at random; requests and answers carry its mark. Phases, ways (25…100 ms) and losses
 * are random by seed.
 */
import { setImmediate as breathe } from "node:timers/promises";
import {
  DEFAULT_GOSSIP_LIMITS,
  decodeDirectMark,
  encodeDirectMark,
  GossipCore,
} from "@version-manager/version-router/gossip";
import type { GossipAction, LocalService } from "@version-manager/version-router/gossip";
import type { Milestone, SimulationOptions, SimulationResult } from "./contract.ts";
import { AwakeNodes, ROUND_STEPS } from "./awake.ts";
import { Dice } from "./random.ts";
import { neighbours } from "./topology.ts";
import { LATENCY_STEPS_MAX, Wire } from "./wire.ts";
import type { DirectDatagram, TrafficMark } from "./wire.ts";

const STEP_MS = 25;
/** Rounds before the news, in which the nodes hear of each other. */
const WARM_UP_ROUNDS = 4;

const SERVICE = "kv";
const TAG = 7;
const RUNNING = { version: 1, status: "running" } as const;
const NEWS = { version: 2, status: "available" } as const;
const UNINFORMED: LocalService = { service: SERVICE, tag: TAG, senderVersion: 1, advertisements: [RUNNING] };
const INFORMED: LocalService = { ...UNINFORMED, advertisements: [RUNNING, NEWS] };

/** What the random numbers of a step are for. */
const PURPOSE = { phases: 1, origin: 2, tick: 3, talk: 4, answer: 5, direct: 6 } as const;

export class Simulation {
  readonly #options: SimulationOptions;
  readonly #dice: Dice;
  readonly #wire = new Wire();
  readonly #addresses: readonly string[];
  readonly #indexOf: ReadonlyMap<string, number>;
  readonly #cores: readonly GossipCore[];
  readonly #inboxes: (TrafficMark[] | undefined)[];
  readonly #learned: Uint8Array;
  readonly #tellsNews: Uint8Array;
  readonly #awake: AwakeNodes;
  readonly #fetched = new Map<number, number[]>();
  #step = 0;
  #startStep = 0;
  #learnedCount = 0;
  #trafficMarks = 0;
  #directMarks = 0;

  constructor(options: SimulationOptions) {
    const { nodes, seed, views, frontierOnly } = options;
    this.#options = options;
    this.#dice = new Dice(seed);
    this.#addresses = Array.from({ length: nodes }, (_, node) => addressOf(node));
    this.#indexOf = new Map(this.#addresses.map((address, node) => [address, node]));
    this.#cores = this.#addresses.map((address, node) => {
      const core = new GossipCore(address, DEFAULT_GOSSIP_LIMITS, 0);
      if (views !== undefined) {
        core.setManagedPeers(Array.from(neighbours(views, node), (peer) => this.#addresses[peer] ?? ""));
      }
      core.setService(UNINFORMED, 0);
      return core;
    });
    this.#inboxes = Array.from({ length: nodes }, () => undefined);
    this.#learned = new Uint8Array(nodes);
    this.#tellsNews = new Uint8Array(nodes);
    this.#awake = new AwakeNodes(nodes, (node) => new Dice(seed).at(node, 0, PURPOSE.phases));
    if (frontierOnly !== true) for (let node = 0; node < nodes; node += 1) this.#awake.wake(node);
  }

  /** Rejects with RangeError when not all have learned within `roundsMax`, and with its reason on `signal`. */
  async run(signal?: AbortSignal): Promise<SimulationResult> {
    const { nodes, seed } = this.#options;
    for (let round = 0; round < WARM_UP_ROUNDS; round += 1) {
      for (let step = 0; step < ROUND_STEPS; step += 1) this.#advance();
    }
    this.#startStep = this.#step;
    this.#trafficMarks = 0;
    this.#directMarks = 0;
    this.#learn(new Dice(seed).at(0, 0, PURPOSE.origin).below(nodes));
    return {
      half: await this.#reach(0.5, signal),
      share99: await this.#reach(0.99, signal),
      all: await this.#reach(1, signal),
    };
  }

  async #reach(share: number, signal: AbortSignal | undefined): Promise<Milestone> {
    const { nodes, roundsMax } = this.#options;
    while (this.#learnedCount < Math.ceil(share * nodes)) {
      if (this.#rounds() > roundsMax) {
        throw new RangeError(`${this.#learnedCount} of ${nodes} nodes learned in ${roundsMax} rounds.`);
      }
      this.#advance();
      if (this.#step % ROUND_STEPS !== 0) continue;
      // A long run lets signals be heard.
      await breathe();
      signal?.throwIfAborted();
    }
    return { rounds: this.#rounds(), trafficMarks: this.#trafficMarks, directMarks: this.#directMarks };
  }

  #rounds(): number {
    return (this.#step - this.#startStep) / ROUND_STEPS;
  }

  #advance(): void {
    this.#step += 1;
    const { traffic, direct } = this.#wire.arrivals(this.#step);
    for (const mark of traffic) this.#arrive(mark);
    for (const datagram of direct) this.#receive(datagram);
    for (const node of this.#fetched.get(this.#step) ?? []) this.#advertise(node);
    this.#fetched.delete(this.#step);
    for (const node of this.#awake.pollersAt(this.#step)) this.#poll(node);
    for (const node of this.#awake.talkersAt(this.#step)) this.#talk(node);
    this.#countSleepers();
  }

  /** What the data path does with a mark: it keeps it for the next poll. */
  #arrive(mark: TrafficMark): void {
    const { from, to, isRequest } = mark;
    if (!this.#awake.has(to)) {
      if (isRequest) this.#trafficMarks += 1;
      return;
    }
    (this.#inboxes[to] ??= []).push(mark);
    if (isRequest)
      this.#sendTraffic(to, from, false, this.#dice.at(to, this.#step, PURPOSE.answer ^ (from << 4)));
  }

  #receive({ from, to, bytes }: DirectDatagram): void {
    const direct = decodeDirectMark(bytes);
    const core = this.#cores[to];
    if (direct === undefined || core === undefined) return;
    const { service, senderVersion } = direct;
    const peerAddress = this.#addresses[from] ?? "";
    for (const advertisement of direct.advertisements) {
      core.hearDirect({ peerAddress, service, senderVersion, advertisement }, this.#nowMs());
    }
    this.#act(to, core);
  }

  #poll(node: number): void {
    const core = this.#cores[node];
    if (core === undefined) return;
    const nowMs = this.#nowMs();
    for (const { from, tellsNews } of this.#inboxes[node] ?? []) {
      const peerAddress = this.#addresses[from] ?? "";
      const advertisement = tellsNews ? NEWS : RUNNING;
      core.hearTag({ peerAddress, tag: TAG, senderVersion: 1, advertisement }, nowMs, nowMs);
    }
    this.#inboxes[node] = undefined;
    this.#act(node, core);
  }

  #act(node: number, core: GossipCore): void {
    const { next } = this.#dice.at(node, this.#step, PURPOSE.tick);
    for (const action of core.tick(this.#nowMs(), next)) this.#carryOut(node, action);
  }

  #carryOut(node: number, action: GossipAction): void {
    if (action.type === "advertise") {
      this.#tellsNews[node] = action.advertisement?.version === NEWS.version ? 1 : 0;
    } else if (action.type === "send") {
      this.#sendDirect(node, action);
    } else if (action.fact.advertisement.version === NEWS.version) {
      this.#learn(node);
    }
  }

  /** What the agent does with news: it fetches the release, and then advertises it. */
  #learn(node: number): void {
    if (this.#learned[node] === 1) return;
    this.#learned[node] = 1;
    this.#learnedCount += 1;
    const dueStep = this.#step + Math.round((this.#options.fetchRounds ?? 0) * ROUND_STEPS);
    if (dueStep === this.#step) this.#advertise(node);
    else this.#fetched.set(dueStep, [...(this.#fetched.get(dueStep) ?? []), node]);
    const { overlay, frontierOnly } = this.#options;
    if (overlay !== undefined && frontierOnly === true) this.#awake.follow(node, overlay, this.#learned);
  }

  #advertise(node: number): void {
    this.#cores[node]?.setService(INFORMED, this.#nowMs());
  }

  #talk(node: number): void {
    const { overlay } = this.#options;
    if (overlay === undefined) return;
    const dice = this.#dice.at(node, this.#step, PURPOSE.talk);
    const others = neighbours(overlay, node);
    const to = others[dice.below(others.length)];
    if (to !== undefined) this.#sendTraffic(node, to, true, dice);
  }

  #sendTraffic(from: number, to: number, isRequest: boolean, dice: Dice): void {
    this.#trafficMarks += 1;
    if (dice.next() < (this.#options.lossShare ?? 0)) return;
    const tellsNews = this.#tellsNews[from] === 1;
    this.#wire.sendTraffic({ from, to, isRequest, tellsNews }, this.#step, latencySteps(dice));
  }

  #sendDirect(from: number, action: Extract<GossipAction, { type: "send" }>): void {
    const to = this.#indexOf.get(action.peerAddress);
    if (to === undefined) return;
    this.#directMarks += 1;
    const dice = new Dice(this.#options.seed).at(from, this.#step, PURPOSE.direct ^ (to << 4));
    if (dice.next() < (this.#options.lossShare ?? 0)) return;
    this.#wire.sendDirect({ from, to, bytes: encodeDirectMark(action) }, this.#step, latencySteps(dice));
  }

  /** Nodes that are left out would send one request per round, as likely in one step as in another, and be answered. */
  #countSleepers(): void {
    if (this.#options.overlay === undefined) return;
    this.#trafficMarks += (2 * (this.#options.nodes - this.#awake.count)) / ROUND_STEPS;
  }

  #nowMs(): number {
    return this.#step * STEP_MS;
  }
}

function latencySteps(dice: Dice): number {
  return 1 + dice.below(LATENCY_STEPS_MAX);
}

function addressOf(node: number): string {
  return `10.${(node >> 16) & 255}.${(node >> 8) & 255}.${node & 255}`;
}
