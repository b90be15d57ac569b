/** All relayed connections: accepts them, gives each its turn, and answers what the daemon asks about them. */
import { INTERFACE_NETWORK } from "./routes.ts";
import { Detour } from "./detour.ts";
import { OPTION_ANSWERS } from "./firewall-marks.ts";
import { beginClient, beginInward, beginOutward, beginWithOption } from "./openings.ts";
import { PeerForms } from "./peer-forms.ts";
import {
  SOCKADDR_BYTES,
  listenForOptions,
  listenForStreams,
  localEndpoint,
  readSockaddr,
  reset,
} from "./sockets.ts";
import { ERRNO, LINUX, sys } from "./system-calls.ts";
import { NOBODY } from "./tally.ts";
import type { Endpoint } from "./endpoint.ts";
import type { RelayFlow } from "./messages.ts";
import type { Poller } from "./poller.ts";
import type { Routes } from "./routes.ts";
import type { StreamScene } from "./scene.ts";
import type { Stream } from "./stream.ts";
import type { Tally } from "./tally.ts";

/** Six descriptors each. */
const STREAMS_MAX = 8192;
/** Of which strangers may keep so many waiting for their mark. */
const OPENING_MAX = 2048;
const ACCEPTED_PER_TURN = 256;

export class Streams {
  readonly listener = listenForStreams();
  /** For SYNs that bear the kernel data path's option. */
  readonly optionListener = listenForOptions(OPTION_ANSWERS);
  readonly #scene: StreamScene;
  readonly #detour: Detour;
  /** Listeners whose queue may hold more. */
  readonly #hasMore = new Set<number>();

  constructor(poller: Poller, tally: Tally, routes: () => Routes, nowMs: () => number) {
    const sets = { busy: new Set<Stream>(), opening: new Set<Stream>(), all: new Set<Stream>() };
    this.#scene = {
      poller,
      tally,
      routes,
      nowMs,
      ...sets,
      forms: new PeerForms(),
      optionSyns: new Map(),
      beginClient: (accepted) => beginClient(this.#scene, accepted),
    };
    this.#detour = new Detour(this.#scene);
    for (const listener of this.#listeners) poller.add(listener, { onReady: () => this.#accept(listener) });
  }

  /** True when there is work that needs no waiting for. */
  get isBusy(): boolean {
    return this.#scene.busy.size > 0 || this.#hasMore.size > 0;
  }

  /** Another turn for those that have more to do. */
  turn(): void {
    const turns = [...this.#scene.busy];
    this.#scene.busy.clear();
    for (const stream of turns) stream.advance();
    for (const listener of this.#hasMore) this.#accept(listener);
  }

  /** A few times a second. */
  checkDeadlines(): void {
    for (const stream of this.#scene.opening) stream.checkDeadline();
    // When descriptors ran out, a listener tells of its queue only once.
    for (const listener of this.#listeners) this.#accept(listener);
  }

  reroute(routes: Routes): void {
    for (const stream of this.#scene.all) stream.reroute(routes);
  }

  connections(slot: number): number {
    return this.#clients(slot).length;
  }

  flows(): readonly RelayFlow[] {
    return [...this.#scene.all].flatMap((stream) => stream.flow() ?? []);
  }

  /** Ends the connections of clients to this slot's domain; returns how many. */
  resetConnections(slot: number): number {
    const clients = this.#clients(slot);
    for (const stream of clients) stream.refuse("reset");
    return clients.length;
  }

  close(): void {
    for (const stream of this.#scene.all) stream.abort();
    for (const listener of this.#listeners) {
      this.#scene.poller.forget(listener);
      sys.close(listener);
    }
    this.#detour.close();
  }

  get #listeners(): readonly number[] {
    return [this.listener, this.optionListener];
  }

  #clients(slot: number): Stream[] {
    return [...this.#scene.all].filter((stream) => stream.kind === "client" && stream.slot === slot);
  }

  #accept(listener: number): void {
    const peer = Buffer.alloc(SOCKADDR_BYTES);
    for (let count = 0; count < ACCEPTED_PER_TURN; count += 1) {
      const length = Buffer.from(Uint32Array.of(SOCKADDR_BYTES).buffer);
      const fd = sys.accept4(listener, peer, length, LINUX.SOCK_NONBLOCK | LINUX.SOCK_CLOEXEC);
      if (fd === -ERRNO.ECONNABORTED || fd === -ERRNO.EINTR) continue;
      this.#hasMore.delete(listener);
      if (fd < 0) return;
      this.#hasMore.add(listener);
      this.#begin(fd, readSockaddr(peer, 0), listener);
    }
  }

  #begin(fd: number, source: Endpoint, listener: number): void {
    const { all, opening, tally } = this.#scene;
    if (all.size >= STREAMS_MAX || opening.size >= OPENING_MAX) {
      tally.count(NOBODY, "too_many", 0);
      return reset(fd);
    }
    const accepted = { fd, source, destination: localEndpoint(fd) };
    if (listener === this.optionListener) beginWithOption(this.#scene, accepted);
    else if (source.address >>> 16 === INTERFACE_NETWORK) beginOutward(this.#scene, accepted);
    else beginInward(this.#scene, accepted);
  }
}
