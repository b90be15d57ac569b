/** The relay at work, in a thread of its own: sockets, the loop that waits for them, and answers to the daemon. */
import { closeSparePipes } from "./direction.ts";
import { Datagrams } from "./datagrams.ts";
import { Poller } from "./poller.ts";
import { Routes } from "./routes.ts";
import { localEndpoint } from "./sockets.ts";
import { PeerTally } from "./peer-tally.ts";
import { Streams } from "./streams.ts";
import { ERRNO, LINUX, errorName, sys } from "./system-calls.ts";
import { Tally } from "./tally.ts";
import { RelayTrace } from "./trace.ts";
import type { RelayPorts } from "./chains.ts";
import type { ClientFlow } from "./client-flows.ts";
import type { Answers, Command, EngineOptions, RelayFlow } from "./messages.ts";
import type { CountedFor, Judged } from "./trace.ts";

/** Deadlines are checked so often, and so long the thread may sleep: Node can only end it when it wakes. */
const TICK_MS = 100;

export class Engine {
  /** Writing to it wakes the loop. */
  readonly wakeFd: number;
  readonly #poller = new Poller();
  readonly #peers = new PeerTally();
  readonly #trace = new RelayTrace((tag) => this.#routes.nameOf(tag));
  readonly #tally = new Tally((judged, counted) => this.#observe(judged, counted));
  readonly #streams: Streams;
  readonly #datagrams: Datagrams;
  #routes: Routes;
  #nowMs = Date.now();
  #nextTickMs = 0;
  #isStopped = false;

  constructor({ state, uplinkMtu }: EngineOptions, onWake: () => void) {
    this.#routes = new Routes(state);
    this.wakeFd = sys.eventfd(0, LINUX.SOCK_NONBLOCK | LINUX.SOCK_CLOEXEC);
    if (this.wakeFd < 0) throw new Error(`eventfd: ${errorName(this.wakeFd)}`);
    this.#poller.add(this.wakeFd, {
      onReady: () => {
        // The counter must be read, or the next write is no change to be told of.
        if (sys.read(this.wakeFd, Buffer.alloc(8), 8) !== -ERRNO.EAGAIN) onWake();
      },
    });
    const routes = () => this.#routes;
    const nowMs = () => this.#nowMs;
    this.#streams = new Streams(this.#poller, this.#tally, routes, nowMs);
    this.#datagrams = new Datagrams(this.#poller, this.#tally, routes, nowMs, uplinkMtu);
  }

  /** Where the sockets listen, on loopback. */
  ports(): RelayPorts {
    return {
      stream: localEndpoint(this.#streams.listener).port,
      option: localEndpoint(this.#streams.optionListener).port,
      datagram: localEndpoint(this.#datagrams.listener).port,
    };
  }

  /** Works until it is told to stop. */
  run(): void {
    while (!this.#isStopped) {
      const isBusy = this.#streams.isBusy || this.#datagrams.isBusy;
      this.#poller.wait(isBusy ? 0 : TICK_MS);
      this.#nowMs = Date.now();
      this.#streams.turn();
      if (this.#datagrams.isBusy) this.#datagrams.turn();
      if (this.#nowMs < this.#nextTickMs) continue;
      this.#nextTickMs = this.#nowMs + TICK_MS;
      this.#streams.checkDeadlines();
    }
  }

  answer(command: Command): Answers[keyof Answers] {
    switch (command.type) {
      case "route":
        this.#routes = new Routes(command.state);
        this.#streams.reroute(this.#routes);
        return undefined;
      case "connections":
        return this.#streams.connections(command.slot) + this.#datagrams.flows.count(command.slot);
      case "reset":
        return this.#streams.resetConnections(command.slot) + this.#datagrams.flows.forget(command.slot);
      case "clientFlows":
        return this.#datagrams.flows.elements();
      case "heard":
        return this.#tally.heard();
      case "counters":
        return this.#tally.counters();
      case "peerCounters":
        return this.#peers.all();
      case "flows":
        return [...this.#streams.flows(), ...this.#datagrams.flows.all().map(toFlow)];
      case "trace":
        return this.#trace.take(command.filter, this.#nowMs);
      case "stop":
        return this.#stop();
    }
  }

  #observe(judged: Judged, counted: CountedFor): void {
    this.#trace.see(judged, counted, this.#nowMs);
    const peer = judged.direction === "out" ? judged.destination : judged.source;
    const isClients = counted.verdict === "client_in" || counted.verdict === "client_out";
    if (isClients || !this.#routes.isManaged(peer.address)) return;
    this.#peers.count(peer.address, counted, counted.verdict, counted.bytes, this.#nowMs);
  }

  #stop(): undefined {
    this.#isStopped = true;
    this.#streams.close();
    this.#datagrams.close();
    closeSparePipes();
    this.#poller.close();
  }
}

function toFlow({ client, localPort, slot, lastSeenMs }: ClientFlow): RelayFlow {
  return { slot, protocol: "udp", kind: "client", remote: client, localPort, state: "open", lastSeenMs };
}
