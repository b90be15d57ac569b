/**
 * A live upgrade in memory, the order of everything at a test's choice: clients at version 1 past the proxy, clients at
 * the proxy, the migrator, the death of the proxy while requests of its are in the versions' buffers, the retirement of
 * version 1. The versions and the proxy run the releases' code.
 */
import {
  httpFraming,
  PeekBuffer,
  toolkit,
  type HttpRequest,
  type ProxyFactory,
} from "@version-manager/app-proxy";
import {
  Harness,
  type FakeServer,
  type HarnessClient,
  type ServerSide,
} from "@version-manager/app-proxy/testing";
import type { Operation } from "../../linearizability/history.ts";
import { http } from "../../registers/load/http.ts";
import { Journal } from "../../registers/load/journal.ts";
import { valueOf, type Request } from "../../registers/load/protocol.ts";

export interface State {
  readonly value: string;
  readonly sequence: number;
  readonly operation: string;
}

export interface Registers extends Iterable<State & { readonly key: string }> {
  merge(key: string, state: State): void;
}

/** What a version does with a request. */
export interface Version {
  readonly registers: Registers;
  readonly answer: (
    registers: Registers,
    head: {
      readonly method: string;
      readonly url: string;
      readonly headers: Readonly<Record<string, string>>;
    },
    body: string,
  ) => {
    readonly status: number;
    readonly headers?: Readonly<Record<string, unknown>>;
    readonly text?: string;
  };
}

export interface SceneOptions {
  readonly versions: Readonly<Record<1 | 2, Version>>;
  readonly proxy: ProxyFactory;
  readonly random: () => number;
  /** Default true: at first clients are still connected to version 1 past the proxy. */
  readonly direct?: boolean;
  /** Default true: the proxy dies now and then. */
  readonly deaths?: boolean;
  /** Default true: some requests compare and set. */
  readonly compares?: boolean;
}

/** Moves after which clients take to another key, which nobody has written before. */
const KEY_EVERY_MOVES = 60;
const KEYS_AT_A_TIME = 2;
const PROXIED_CLIENTS = 3;
const DEPTH = 3;
const MOVES = 1_200;

/** A request in a version's socket buffer: it is done whatever becomes of its sender. */
interface Arrived {
  readonly version: 1 | 2;
  readonly request: HttpRequest;
  readonly side: ServerSide;
}

interface Asked {
  readonly request: Request;
  readonly id: number;
  readonly begunAt: number;
}

interface Client {
  readonly line: HarnessClient;
  readonly asked: Asked[];
  readBytes: number;
}

export class Scene {
  readonly #options: SceneOptions;
  readonly #journal = new Journal("memory");
  readonly #arrived: Arrived[] = [];
  readonly #framing = httpFraming({ headBytesMax: 65_536, bodyBytesMax: 65_536 });
  readonly #held = new Map<string, string>();
  #harness: Harness | undefined;
  #clients: Client[] = [];
  #running: readonly number[] = [1, 2];
  #now = 0;
  #count = 0;

  constructor(options: SceneOptions) {
    this.#options = options;
  }

  /** Plays it to the end; the last reads are version 2's alone. */
  async play(): Promise<readonly Operation[]> {
    const { deaths = true, direct = true, random } = this.#options;
    await this.#startProxy();
    const at = (share: number): number => Math.floor(MOVES * (share + random() * 0.15));
    const moments = { directEnds: at(0.1), copy: at(0.3), merge: at(0.45), retire: at(0.7) };
    let copied: (State & { readonly key: string })[] = [];
    for (let move = 0; move < MOVES; move += 1) {
      this.#now += 1;
      if (direct && move < moments.directEnds && random() < 0.1) this.#askDirectly(1);
      if (move === moments.copy) copied = [...this.#options.versions[1].registers];
      if (move === moments.merge) {
        for (const { key, ...state } of copied) this.#options.versions[2].registers.merge(key, state);
      }
      if (deaths && move > moments.directEnds && move < moments.retire && random() < 0.01)
        await this.#startProxy();
      if (move === moments.retire) {
        this.#running = [2];
        this.#harness?.setVersions(this.#running);
      }
      await this.#move(random());
    }
    for (let idle = 0; idle < 50; idle += 1) await this.#settle();
    for (const client of this.#clients) this.#lose(client);
    const keys = new Set(this.#journal.operations.map(({ key }) => key.split(" ")[1] ?? ""));
    for (const key of keys) this.#askDirectly(2, { kind: "read", key });
    return this.#journal.operations;
  }

  async #move(dice: number): Promise<void> {
    if (dice < 0.08) this.#ask(this.#clients[Math.floor(this.#options.random() * PROXIED_CLIENTS)]);
    else if (dice < 0.4) this.#serve();
    else this.#harness?.step();
    await Promise.resolve();
    this.#hear();
  }

  /** Lets everything that is on its way arrive, and deadlines of retries pass. */
  async #settle(): Promise<void> {
    this.#now += 1;
    while (this.#arrived.length > 0) this.#serve();
    await this.#harness?.advance(100);
    this.#hear();
  }

  /** Anew: what the old process had in memory is gone, what it sent is not. */
  async #startProxy(): Promise<void> {
    for (const client of this.#clients) this.#lose(client);
    this.#harness = new Harness({
      handlers: await this.#options.proxy(toolkit, { service: "registers", log: () => undefined }),
      versions: this.#running,
      serve: (side) => this.#server(side),
      choose: (count) => Math.floor(this.#options.random() * count),
    });
    const harness = this.#harness;
    this.#clients = Array.from({ length: PROXIED_CLIENTS }, () => ({
      line: harness.connect(),
      asked: [],
      readBytes: 0,
    }));
  }

  #server(side: ServerSide): FakeServer {
    const input = new PeekBuffer();
    const reader = this.#framing.requestReader();
    const version = side.version as 1 | 2;
    return {
      data: (bytes) => {
        input.append(bytes);
        for (;;) {
          const frame = reader.read(input);
          if (frame.kind !== "message") return;
          input.discard(frame.bytes);
          this.#arrived.push({ version, request: frame.message, side });
        }
      },
    };
  }

  /** Of one connection requests are done in their order; between connections in any. */
  #serve(): void {
    const sides = [...new Set(this.#arrived.map(({ side }) => side))];
    const side = sides[Math.floor(this.#options.random() * sides.length)];
    const index = this.#arrived.findIndex((arrived) => arrived.side === side);
    const [arrived] = index < 0 ? [] : this.#arrived.splice(index, 1);
    if (arrived === undefined) return;
    const { request, version } = arrived;
    const reply = this.#done(version, {
      method: request.method,
      url: request.target,
      headers: Object.fromEntries(request.headers.map(([name, value]) => [name.toLowerCase(), value])),
      body: Buffer.from(request.body).toString(),
    });
    arrived.side.send(Buffer.from(reply));
  }

  #done(
    version: 1 | 2,
    { body, ...head }: { method: string; url: string; headers: Record<string, string>; body: string },
  ): string {
    const { answer, registers } = this.#options.versions[version];
    const { status, headers = {}, text = "" } = answer(registers, head, body);
    const name = head.headers["x-request"];
    const all = {
      ...headers,
      ...(name === undefined ? {} : { "x-request": name }),
      "content-length": text.length,
    };
    const lines = Object.entries(all).map(([key, value]) => `${key}: ${String(value)}\r\n`);
    return `HTTP/1.1 ${status} Done\r\n${lines.join("")}\r\n${text}`;
  }

  #ask(client: Client | undefined): void {
    if (client === undefined || client.asked.length >= DEPTH) return;
    const request = this.#plan();
    const id = (this.#count += 1);
    client.asked.push({ request, id, begunAt: this.#now });
    this.#journal.count("requests");
    client.line.send(http.encode(request, id));
  }

  /** A client that is still connected past the proxy, and has its answer at once. */
  #askDirectly(version: 1 | 2, request: Request = this.#plan()): void {
    const [head = "", body = ""] = http.encode(request, 0).split("\r\n\r\n");
    const [line = "", ...lines] = head.split("\r\n");
    const [method = "", url = ""] = line.split(" ");
    const headers = Object.fromEntries(lines.map((each) => each.split(": ") as [string, string]));
    this.#now += 1;
    const taken = http.take(this.#done(version, { method, url, headers, body }), request, 0);
    if (taken !== undefined) this.#answered(request, taken, this.#now);
  }

  #plan(): Request {
    const { compares = true, random } = this.#options;
    const key = `k${Math.floor(this.#now / KEY_EVERY_MOVES) + Math.floor(random() * KEYS_AT_A_TIME)}`;
    const value = valueOf(key, String((this.#count += 1)));
    const share = random();
    const expected = this.#held.get(key);
    if (share < 0.5) return { kind: "read", key };
    if (share < 0.8 || !compares || expected === undefined) return { kind: "write", key, value };
    return { kind: "cas", key, expected, value };
  }

  #hear(): void {
    for (const client of this.#clients) {
      const { received } = client.line;
      for (let asked = client.asked[0]; asked !== undefined; asked = client.asked[0]) {
        const text = received.subarray(client.readBytes).toString("latin1");
        const taken = http.take(text, asked.request, asked.id);
        if (taken === undefined) break;
        client.readBytes += taken.length;
        client.asked.shift();
        this.#answered(asked.request, taken, asked.begunAt);
      }
    }
  }

  #answered(request: Request, { reply }: ReturnType<typeof http.take> & object, begunAt: number): void {
    if (reply.kind === "state" && typeof reply.value === "string") this.#held.set(request.key, reply.value);
    this.#journal.answered(request, reply, begunAt, this.#now);
  }

  #lose(client: Client): void {
    for (const { request, begunAt } of client.asked.splice(0)) this.#journal.lost(request, begunAt);
  }

  /** What went wrong besides the order of things. */
  get faults(): readonly string[] {
    return this.#journal.figures().faults;
  }

  get lost(): number {
    return this.#journal.figures().lost;
  }
}
