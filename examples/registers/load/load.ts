/** Clients of one register service, at a steady rate, several requests at once; and the reading back at the end. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Operation } from "../../linearizability/history.ts";
import { DatagramClient } from "./datagram-client.ts";
import { http } from "./http.ts";
import { Journal, type Figures } from "./journal.ts";
import { Planner } from "./planner.ts";
import type { Reply, Request } from "./protocol.ts";
import { resp } from "./resp.ts";
import { StreamClient, type Place } from "./stream-client.ts";

export type ProtocolName = "http" | "resp" | "udp";

export interface LoadOptions extends Place {
  /** Of the service, in histories and reports. */
  readonly name: string;
  readonly protocol: ProtocolName;
  /** Requests per second, all clients together. */
  readonly rate: number;
  readonly clients: number;
  /** Requests that a client sends at once. */
  readonly depth: number;
  /** Keys that all clients write. */
  readonly keys: number;
  /** Milliseconds after which a client takes another connection or port. */
  readonly recycleMs: number;
  /** Milliseconds that a connection may take to stand, and then to bring anything of what was asked. */
  readonly silenceMaxMs: number;
  readonly random: () => number;
}

interface Client {
  ask(requests: readonly Request[]): Promise<readonly (Reply | undefined)[]>;
  recycle(): void;
}

export interface ReadBack {
  readonly keys: number;
  /** Values that were acknowledged, written once, and are not there. */
  readonly missing: readonly string[];
}

/** How often a client repeats, when the load ends, what was not answered. */
const ROUNDS_AFTER_STOP = 10;

export class Load {
  readonly #options: LoadOptions;
  readonly #journal: Journal;
  readonly #once = new Map<string, string>();
  #stopped = false;
  #workers: Promise<unknown> = Promise.resolve();

  constructor(options: LoadOptions) {
    this.#options = options;
    this.#journal = new Journal(options.name);
  }

  get figures(): Figures {
    return this.#journal.figures();
  }

  get history(): readonly Operation[] {
    return this.#journal.operations;
  }

  start(): void {
    const { clients } = this.#options;
    this.#workers = Promise.all(Array.from({ length: clients }, async (_, index) => this.#work(`c${index}`)));
  }

  /** Resolves when everything that was asked is answered or lost. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#workers;
  }

  /** Reads every key, as part of the history, and sees to what was written once. */
  async readBack(): Promise<ReadBack> {
    const { depth, keys } = this.#options;
    const client = this.#client("reader");
    const all = [...Array.from({ length: keys }, (_, index) => `k${index}`), ...this.#once.keys()];
    const missing: string[] = [];
    for (let at = 0; at < all.length; at += depth) {
      const asked = all.slice(at, at + depth).map((key): Request => ({ kind: "read", key }));
      const replies = await this.#persist(asked, async (requests) => client.ask(requests));
      for (const [index, { key }] of asked.entries()) {
        const reply = replies[index];
        const value = reply?.kind === "state" ? reply.value : undefined;
        const written = this.#once.get(key);
        if (written !== undefined && value !== written) missing.push(`${key}: ${value}`);
      }
    }
    client.recycle();
    return { keys: all.length, missing };
  }

  #client(name: string): Client {
    const { protocol, host, port, silenceMaxMs } = this.#options;
    if (protocol === "udp") return new DatagramClient({ host, port }, name, this.#journal);
    return new StreamClient({ host, port, silenceMaxMs }, protocol === "http" ? http : resp, this.#journal);
  }

  async #work(name: string): Promise<void> {
    const { clients, depth, keys, random, rate, recycleMs } = this.#options;
    const client = this.#client(name);
    const planner = new Planner(name, keys, random);
    const periodMs = (1_000 * clients * depth) / rate;
    let recycleAtMs = performance.now() + random() * recycleMs;
    let again: readonly Request[] = [];
    // A service that is gone for good must not keep the load from ending.
    for (let roundsLeft = ROUNDS_AFTER_STOP; !this.#stopped || (again.length > 0 && roundsLeft > 0);) {
      if (this.#stopped) roundsLeft -= 1;
      // All clients ask at the same moments, so that they meet at the keys.
      await sleep(periodMs - (performance.now() % periodMs));
      const fresh = Array.from({ length: depth - again.length }, () => planner.next());
      const requests = [...again, ...fresh];
      again = this.#learn(planner, requests, await client.ask(requests));
      if (performance.now() < recycleAtMs) continue;
      client.recycle();
      recycleAtMs = performance.now() + recycleMs;
    }
    client.recycle();
  }

  /** Returns what has to be asked again. */
  #learn(
    planner: Planner,
    requests: readonly Request[],
    replies: readonly (Reply | undefined)[],
  ): readonly Request[] {
    return requests.flatMap((request, index) => {
      const reply = replies[index];
      if (reply === undefined) return [planner.again(request)];
      if (reply.kind !== "state") return [];
      if (request.kind === "write" && request.key.startsWith("once-"))
        this.#once.set(request.key, request.value);
      else if (request.kind === "write") planner.saw(request.key, request.value);
      else if (reply.value !== undefined) planner.saw(request.key, reply.value);
      return [];
    });
  }

  /** Asks until every read has its answer; gives up after some rounds. */
  async #persist(
    requests: readonly Request[],
    ask: (requests: readonly Request[]) => Promise<readonly (Reply | undefined)[]>,
  ): Promise<readonly (Reply | undefined)[]> {
    const replies: (Reply | undefined)[] = [...(await ask(requests))];
    for (let round = 0; round < 5 && replies.includes(undefined); round += 1) {
      const left = requests.flatMap((request, index) =>
        replies[index] === undefined ? [{ request, index }] : [],
      );
      const later = await ask(left.map(({ request }) => request));
      for (const [at, { index }] of left.entries()) replies[index] = later[at];
    }
    return replies;
  }
}
