/** One client with a socket for datagrams: several requests on their way at once, told apart by their ids. */
import { createSocket, type Socket } from "node:dgram";
import { performance } from "node:perf_hooks";
import type { Journal } from "./journal.ts";
import type { Reply, Request } from "./protocol.ts";
import type { Place } from "./stream-client.ts";
import { decodeDatagram, encodeDatagram, idOf } from "./udp.ts";

/** Milliseconds after which a request counts as lost and is repeated by whoever asked. */
const REPLY_MAX_MS = 1_000;
/** Requests in a row without an answer after which there is none at all. */
const LOST_IN_A_ROW_MAX = 160;

export class DatagramClient {
  readonly #place: Place;
  readonly #name: string;
  readonly #journal: Journal;
  readonly #flights = new Map<string, { readonly hear: (datagram: string) => void }>();
  #socket: Socket | undefined;
  #id = 0;
  #lostInARow = 0;

  /** `name`: of the client; ids begin with it, so that an answer to another client's request is known for what it is. */
  constructor(place: Place, name: string, journal: Journal) {
    this.#place = place;
    this.#name = name;
    this.#journal = journal;
  }

  async ask(requests: readonly Request[]): Promise<readonly (Reply | undefined)[]> {
    const socket = (this.#socket ??= this.#open());
    return Promise.all(requests.map(async (request) => this.#one(socket, request)));
  }

  /** The next request goes out from another port. */
  recycle(): void {
    this.#socket?.close();
    this.#socket = undefined;
  }

  #open(): Socket {
    this.#journal.count("connections");
    const socket = createSocket("udp4");
    // A port that nobody listens on just now: the request is lost.
    socket.on("error", () => undefined);
    socket.on("message", (datagram) => {
      const text = datagram.toString();
      const id = idOf(text);
      if (!id.startsWith(`${this.#name}.`))
        this.#journal.fail(`another client's answer: ${text.slice(0, 80)}`);
      this.#flights.get(id)?.hear(text);
    });
    return socket;
  }

  #one(socket: Socket, request: Request): Promise<Reply | undefined> {
    const id = `${this.#name}.${(this.#id += 1)}`;
    const begunAt = performance.now();
    this.#journal.count("requests");
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#flights.delete(id);
        this.#journal.lost(request, begunAt);
        this.#lostInARow += 1;
        if (this.#lostInARow === LOST_IN_A_ROW_MAX) this.#journal.fail("no answer at all");
        resolve(undefined);
      }, REPLY_MAX_MS);
      const hear = (datagram: string): void => {
        clearTimeout(timer);
        this.#flights.delete(id);
        this.#lostInARow = 0;
        const reply = decodeDatagram(datagram, request);
        this.#journal.answered(request, reply, begunAt, performance.now());
        resolve(reply);
      };
      this.#flights.set(id, { hear });
      socket.send(encodeDatagram(request, id), this.#place.port, this.#place.host);
    });
  }
}
