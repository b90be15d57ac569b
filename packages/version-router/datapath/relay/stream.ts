/**
 * One relayed connection: two sockets, and what has to be known before bytes may pass between them.
 *
 *   outward  a domain opens to a peer:  connect → send our mark → await the peer's → open
 *   inward   a peer opens to a domain:  read its mark → connect to that version → send our mark → open
 *   client   a client opens to a domain: connect → open
 *
 * Towards a peer with the kernel's data path the marks are options of SYN and SYN-ACK instead: rules check those of the
 * peer's, and its stack refuses ours when they are missing, so connected is as good as marked.
 *
 * Neither side passes payload on before it has read the other's mark, so nothing reaches another version, nor a peer
 * without Version Manager.
 */
import { synKey } from "./detour.ts";
import { Direction } from "./direction.ts";
import { formatAddress } from "./endpoint.ts";
import { ofOption } from "./firewall-marks.ts";
import { connectAs, isConnected, reset, savedSyn, setStreamOptions, takeError } from "./sockets.ts";
import { peekStart, sendMark, takeMark } from "./stream-start.ts";
import { markOfSyn } from "./syn-packet.ts";
import { ERRNO, sys } from "./system-calls.ts";
import { NOBODY } from "./tally.ts";
import type { Mark } from "../../mark/index.ts";
import type { Endpoint } from "./endpoint.ts";
import type { RelayFlow } from "./messages.ts";
import type { Form } from "./peer-forms.ts";
import type { RoutedDomain, Routes } from "./routes.ts";
import type { StreamScene } from "./scene.ts";
import type { Counted } from "./tally.ts";
import type { Judged } from "./trace.ts";

/** A connect(), and a peer's answer to our mark, may take so long. */
const OPENING_MS = 10_000;
/** A peer sends its mark as soon as it is connected: longer than two retransmissions no mark takes. */
const MARK_MS = 3_000;
/** How long a client of a port that is a peer port as well may be silent before it is taken for a client. */
const CLIENT_SILENCE_MS = 500;

type Phase = "reading mark" | "connecting" | "awaiting mark" | "open" | "closed";

/** A connection as it was accepted, in the place of its destination. */
export interface Accepted {
  readonly fd: number;
  readonly source: Endpoint;
  readonly destination: Endpoint;
}

export class Stream {
  readonly kind: "outward" | "inward" | "client";
  readonly #scene: StreamScene;
  /** The socket that was accepted. */
  readonly #left: number;
  readonly #source: Endpoint;
  readonly #destination: Endpoint;
  #right = -1;
  #phase: Phase = "reading mark";
  #domain: RoutedDomain | undefined;
  #directions: readonly Direction[] = [];
  #deadlineMs: number;
  #lastSeenMs: number;
  #form: Form = "stream";
  /** What the mark that opened it said, of either side. */
  #mark: Mark | undefined;
  /** The other form was tried already. */
  #isSecondTry = false;

  /** `domain`: whose it is, when that is known already; else the peer's mark decides. */
  constructor(scene: StreamScene, kind: Stream["kind"], accepted: Accepted, domain?: RoutedDomain) {
    this.kind = kind;
    this.#scene = scene;
    this.#left = accepted.fd;
    this.#source = accepted.source;
    this.#destination = accepted.destination;
    this.#domain = domain;
    this.#lastSeenMs = scene.nowMs();
    this.#deadlineMs = this.#lastSeenMs + MARK_MS;
    scene.all.add(this);
    scene.opening.add(this);
    setStreamOptions(this.#left);
    this.#watch(this.#left);
  }

  /** Connects, or waits for the mark. A port for peers and clients: the first bytes tell, or that there are none. */
  begin(form: Form, isClientPort = false): void {
    this.#form = form;
    if (isClientPort) this.#deadlineMs = this.#scene.nowMs() + CLIENT_SILENCE_MS;
    if (this.#domain !== undefined) this.#connect();
    else if (form === "stream") this.advance();
    else this.#readSyn();
  }

  /** The slot of its domain; undefined while it has none. */
  get slot(): number | undefined {
    return this.#domain?.slot;
  }

  /** As the daemon lists it; undefined while it has no domain. */
  flow(): RelayFlow | undefined {
    if (this.#domain === undefined) return undefined;
    const remote = this.kind === "outward" ? this.#destination : this.#source;
    const local = this.kind === "outward" ? this.#source : this.#destination;
    return {
      slot: this.#domain.slot,
      protocol: "tcp",
      kind: this.kind === "client" ? "client" : "peer",
      remote,
      localPort: local.port,
      state: this.#phase === "open" ? "open" : "opening",
      lastSeenMs: this.#lastSeenMs,
    };
  }

  /** Goes on as far as it can without waiting. */
  advance(): void {
    if (this.#phase === "reading mark") this.#readOpening();
    if (this.#phase === "connecting" && isConnected(this.#right)) this.#onConnected();
    if (this.#phase === "awaiting mark") this.#readAnswer();
    if (this.#phase === "open") this.#move();
  }

  /** To be asked a few times a second while it is opening. */
  checkDeadline(): void {
    if (this.#scene.nowMs() < this.#deadlineMs) return;
    if (this.#phase === "reading mark") this.#unmarked();
    else this.refuse("reset");
  }

  /** Keeps its domain's place among new routes, or ends when the domain is gone. */
  reroute(routes: Routes): void {
    if (this.#domain === undefined) return;
    const now = routes.ofMark({ ...this.#domain, advertisement: undefined });
    if (now !== undefined && now.slot === this.#domain.slot) this.#domain = now;
    else this.refuse("reset");
  }

  /** Counts why, and resets both sides. */
  refuse(verdict: string, who: Counted = this.#domain ?? this.#stranger()): void {
    this.#count(verdict, 0, who);
    this.abort();
  }

  /** `isBack`: against the direction in which it was opened. */
  #count(verdict: string, bytes: number, who: Counted, isBack = false): void {
    this.#lastSeenMs = this.#scene.nowMs();
    this.#scene.tally.count(who, verdict, bytes, this.#judged(isBack));
  }

  #judged(isBack: boolean): Judged {
    const isOut = (this.kind === "outward") !== isBack;
    const { serviceAddress } = this.#scene.routes();
    const opener =
      this.kind === "outward" ? { address: serviceAddress, port: this.#source.port } : this.#source;
    const [source, destination] = isBack ? [this.#destination, opener] : [opener, this.#destination];
    return { direction: isOut ? "out" : "in", protocol: "tcp", source, destination, mark: this.#mark };
  }

  /** Resets both sides. */
  abort(): void {
    this.#end(reset);
  }

  /** To the peer under the node's address and the domain's port, or to the domain under the other's. */
  #connect(): void {
    const domain = this.#domain;
    if (domain === undefined) return this.abort();
    this.#phase = "connecting";
    this.#deadlineMs = this.#scene.nowMs() + OPENING_MS;
    const right = this.kind === "outward" ? this.#connectOutward(domain) : this.#connectInward(domain);
    if (right === -ERRNO.EADDRNOTAVAIL || right === -ERRNO.EADDRINUSE) return this.refuse("tuple_in_use");
    if (right < 0) return this.refuse("kernel_error");
    this.#right = right;
    setStreamOptions(right);
    this.#watch(right);
  }

  #connectOutward(domain: RoutedDomain): number {
    const source = { address: this.#scene.routes().serviceAddress, port: this.#source.port };
    if (this.#form === "stream") return connectAs(source, this.#destination, 0);
    this.#scene.optionSyns.set(synKey(source.port, this.#destination), domain);
    return connectAs(source, this.#destination, ofOption(domain.slot));
  }

  #connectInward({ address }: RoutedDomain): number {
    return connectAs(this.#source, { address, port: this.#destination.port }, 0);
  }

  #watch(fd: number): void {
    this.#scene.poller.add(fd, {
      onReady: (failed) => {
        const error = failed ? takeError(fd) : 0;
        if (error === 0) this.advance();
        else this.#onFailed(fd, error);
      },
    });
  }

  /** The other side is told by a reset, as it would have been by the end that failed. */
  #onFailed(fd: number, error: number): void {
    const isRefused = error === -ERRNO.ECONNREFUSED && this.#phase === "connecting" && fd === this.#right;
    if (isRefused && this.kind === "outward" && !this.#isSecondTry) this.#tryOtherForm();
    else if (this.#phase === "open" || fd === this.#left) this.abort();
    else this.refuse("reset");
  }

  #tryOtherForm(): void {
    this.#isSecondTry = true;
    this.#forgetSyn();
    this.#scene.poller.forget(this.#right);
    sys.close(this.#right);
    this.#right = -1;
    this.#form = this.#scene.forms.second(this.#form);
    this.#connect();
  }

  #forgetSyn(): void {
    this.#scene.optionSyns.delete(synKey(this.#source.port, this.#destination));
  }

  /** The first bytes of a connection to a peer port. */
  #readOpening(): void {
    const mark = peekStart(this.#left);
    if (mark === "waiting") return;
    if (mark === "unmarked" || mark === "ended") return this.#unmarked();
    takeMark(this.#left);
    this.#toDomainOf(mark);
  }

  #readSyn(): void {
    const mark = markOfSyn(savedSyn(this.#left));
    // Under a flood the kernel answers by SYN cookies and keeps no SYN.
    if (mark === undefined) return this.refuse(this.#unmarkedVerdict(this.#source));
    this.#scene.forms.took(this.#source.address, "option");
    this.#toDomainOf(mark);
  }

  /** A peer has said which version it is. */
  #toDomainOf(mark: Mark): void {
    this.#mark = mark;
    this.#hear(this.#source, mark);
    const routes = this.#scene.routes();
    const domain = routes.ofMark(mark);
    if (domain === undefined) {
      const tag = routes.knowsService(mark.tag) ? mark.tag : 0;
      return this.refuse("unknown_version", { tag, version: 0 });
    }
    if (!routes.isPeerPort(domain, "tcp", this.#destination.port))
      return this.refuse("port_not_registered", domain);
    this.#domain = domain;
    this.#connect();
  }

  /** No mark at a peer port: a client's if the port is that as well. */
  #unmarked(): void {
    const { port } = this.#destination;
    if (this.#scene.routes().clientDomain("tcp", port) === undefined)
      return this.refuse(this.#unmarkedVerdict(this.#source));
    this.#forget();
    this.#scene.beginClient({ fd: this.#left, source: this.#source, destination: this.#destination });
  }

  /** A managed peer marks whatever it opens: somebody on the way has taken the option out. */
  #unmarkedVerdict({ address }: Endpoint): string {
    return this.#scene.routes().isManaged(address) ? "option_stripped" : "unmarked";
  }

  #onConnected(): void {
    if (this.kind === "client") return this.#open();
    const domain = this.#domain;
    if (domain === undefined) return this.abort();
    const mark = this.#scene.routes().markOf(domain);
    const to = this.kind === "outward" ? this.#right : this.#left;
    if (this.#form === "stream" && !sendMark(to, mark)) return this.refuse("reset");
    if (this.kind === "outward") this.#mark = mark;
    this.#count(this.kind === "outward" ? "marked" : "delivered", 0, domain);
    if (this.kind === "outward" && this.#form === "stream") this.#phase = "awaiting mark";
    else this.#open();
  }

  /** The peer's answer to our mark. */
  #readAnswer(): void {
    const mark = peekStart(this.#right);
    if (mark === "waiting") return;
    // The peer closed or reset: it has no such version, or nothing listens there.
    if (mark === "ended") return this.refuse("reset");
    if (mark === "unmarked") return this.refuse("unmarked");
    this.#hear(this.#destination, mark);
    if (mark.tag !== this.#domain?.tag || mark.version !== this.#domain.version)
      return this.refuse("wrong_version");
    takeMark(this.#right);
    this.#open();
  }

  #hear(peer: Endpoint, mark: Mark): void {
    if (this.#scene.routes().knowsService(mark.tag))
      this.#scene.tally.hear(formatAddress(peer.address), mark, this.#scene.nowMs());
  }

  #open(): void {
    const domain = this.#domain ?? NOBODY;
    const role = this.kind === "client" ? "client" : "peer_tcp";
    const [forth, back] = this.kind === "outward" ? ["out", "in"] : ["in", "out"];
    this.#directions = [
      new Direction(this.#left, this.#right, (bytes) => this.#count(`${role}_${forth}`, bytes, domain)),
      new Direction(this.#right, this.#left, (bytes) => this.#count(`${role}_${back}`, bytes, domain, true)),
    ];
    this.#phase = "open";
    if (this.kind === "outward") {
      this.#scene.forms.took(this.#destination.address, this.#form);
      this.#forgetSyn();
    }
    this.#scene.opening.delete(this);
    this.#move();
  }

  #move(): void {
    const progress = this.#directions.map((direction) => direction.move());
    if (progress.includes("failed")) this.abort();
    else if (progress.every((each) => each === "ended")) this.#end(sys.close);
    else if (progress.includes("more")) this.#scene.busy.add(this);
  }

  #stranger(): Counted {
    return { tag: this.#scene.routes().tagOfPort("tcp", this.#destination.port), version: 0 };
  }

  #end(close: (fd: number) => unknown): void {
    if (this.#phase === "closed") return;
    this.#forget();
    close(this.#left);
    if (this.#right >= 0) close(this.#right);
    for (const direction of this.#directions) direction.close();
  }

  /** Leaves the scene; its sockets stay open. */
  #forget(): void {
    const { poller, all, opening, busy } = this.#scene;
    if (this.kind === "outward" && this.#phase !== "open") this.#forgetSyn();
    this.#phase = "closed";
    poller.forget(this.#left);
    poller.forget(this.#right);
    for (const set of [all, opening, busy]) set.delete(this);
  }
}
