/** One client on a stream: a kept connection, several requests on their way at once, a new connection now and then. */
import { connect, type Socket } from "node:net";
import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import type { Journal } from "./journal.ts";
import type { Protocol, Reply, Request } from "./protocol.ts";

const CONNECT_PAUSE_MS = 50;

interface Flight {
  readonly request: Request;
  readonly id: number;
  readonly begunAt: number;
  readonly settle: (reply: Reply | undefined) => void;
}

export interface Place {
  readonly host: string;
  readonly port: number;
}

export interface StreamPlace extends Place {
  /** Milliseconds without any answer on a connection with requests on their way, or until it stands. */
  readonly silenceMaxMs: number;
}

export class StreamClient {
  readonly #place: StreamPlace;
  readonly #protocol: Protocol;
  readonly #journal: Journal;
  #socket: Socket | undefined;
  #flights: Flight[] = [];
  #input = "";
  #closing = false;
  #id = 0;

  constructor(place: StreamPlace, protocol: Protocol, journal: Journal) {
    this.#place = place;
    this.#protocol = protocol;
    this.#journal = journal;
  }

  /** Sends all in one piece; resolves, in their order, to replies, undefined where nobody knows what became of it. */
  async ask(requests: readonly Request[]): Promise<readonly (Reply | undefined)[]> {
    const socket = await this.#connected();
    const begunAt = performance.now();
    const replies = requests.map(
      (request) =>
        new Promise<Reply | undefined>((settle) => {
          this.#journal.count("requests");
          this.#flights.push({ request, id: (this.#id += 1), begunAt, settle });
        }),
    );
    const sent = this.#flights.slice(-requests.length);
    socket.write(sent.map(({ request, id }) => this.#protocol.encode(request, id)).join(""), "latin1");
    return Promise.all(replies);
  }

  /** Ends the connection, which has nothing on its way; the next request opens another. */
  recycle(): void {
    this.#socket?.end();
    this.#socket = undefined;
  }

  async #connected(): Promise<Socket> {
    if (this.#socket !== undefined && !this.#closing) return this.#socket;
    const untilMs = performance.now() + this.#place.silenceMaxMs;
    for (;;) {
      const socket = await this.#open();
      if (socket !== undefined) return socket;
      if (performance.now() > untilMs) {
        this.#journal.fail(`no connection to ${this.#place.host}:${this.#place.port}`);
        throw new Error(`no connection to ${this.#place.host}:${this.#place.port}`);
      }
      await sleep(CONNECT_PAUSE_MS);
    }
  }

  #open(): Promise<Socket | undefined> {
    return new Promise((resolve) => {
      const { host, port, silenceMaxMs } = this.#place;
      const socket = connect({ host, port, noDelay: true, timeout: silenceMaxMs });
      socket.setEncoding("latin1");
      socket.on("error", () => undefined);
      socket.on("timeout", () => {
        if (this.#flights.length > 0) this.#journal.fail(`no reply within ${silenceMaxMs} ms`);
        socket.destroy();
      });
      socket.once("connect", () => {
        this.#journal.count("connections");
        this.#socket = socket;
        this.#input = "";
        this.#closing = false;
        resolve(socket);
      });
      socket.on("data", (text) => this.#hear(socket, String(text)));
      socket.once("close", () => {
        resolve(undefined);
        if (this.#socket === socket) this.#end();
      });
      // Not waited for: a server that ends its side has said all that it will.
      socket.once("end", () => socket.destroy());
    });
  }

  #hear(socket: Socket, text: string): void {
    if (this.#socket !== socket) return;
    this.#input += text;
    for (let flight = this.#flights[0]; flight !== undefined; flight = this.#flights[0]) {
      const taken = this.#protocol.take(this.#input, flight.request, flight.id);
      if (taken === undefined) return;
      this.#input = this.#input.slice(taken.length);
      this.#flights.shift();
      this.#journal.answered(flight.request, taken.reply, flight.begunAt, performance.now());
      flight.settle(taken.reply);
      if (taken.last === true) this.#closing = true;
    }
    if (this.#input !== "") this.#journal.fail(`bytes that nobody asked for: ${this.#input.slice(0, 80)}`);
    if (this.#closing && this.#flights.length === 0) this.recycle();
  }

  #end(): void {
    const unanswered = this.#flights;
    this.#flights = [];
    this.#socket = undefined;
    if (unanswered.length > 0 && !this.#closing) this.#journal.count("broken");
    for (const { request, begunAt, settle } of unanswered) {
      // Behind the reply that the server announced as its last, nothing was done (RFC 9112 §9.6).
      this.#journal.lost(request, begunAt, this.#closing ? "turnedAway" : "lost");
      settle(undefined);
    }
  }
}
