/**
 * Datagrams: marked on their way out, delivered by their mark on the way in, or a client's. Each goes on as a whole
 * packet under its true source, from the buffer in which it came: the mark is written in front of it, or skipped.
 */
import { UDP_MARK_BYTES, decodeUdpMark, encodeUdpMark } from "../../mark/index.ts";
import { ClientFlows } from "./client-flows.ts";
import { MessageBatch } from "./message-batch.ts";
import { HEADER_BYTES, writeHeaders } from "./packet.ts";
import { INTERFACE_NETWORK } from "./routes.ts";
import { formatAddress } from "./endpoint.ts";
import { listenForDatagrams, openRaw } from "./sockets.ts";
import { ERRNO, sys } from "./system-calls.ts";
import { NOBODY } from "./tally.ts";
import type { Poller } from "./poller.ts";
import type { RoutedDomain, Routes } from "./routes.ts";
import type { Endpoint } from "./endpoint.ts";
import type { Counted, Tally } from "./tally.ts";
import type { Judged } from "./trace.ts";

const BATCH = 64;
/** Room for jumbo frames; longer datagrams have been fragments, and are refused. */
const PLACE_BYTES = 9216;
/** A payload is received here, so that headers and a mark fit in front of it. */
const PAYLOAD_AT = HEADER_BYTES + UDP_MARK_BYTES;
/** Batches in a row, before streams have their turn. */
const BATCHES_PER_TURN = 8;

/** Of a full queue, and of a rule, which has counted what it dropped. */
const EXPECTED: ReadonlySet<number> = new Set([ERRNO.EAGAIN, ERRNO.EINTR, ERRNO.EPERM]);

export class Datagrams {
  readonly listener = listenForDatagrams();
  readonly flows: ClientFlows;
  readonly #raw = openRaw(0);
  readonly #received = new MessageBatch(BATCH, PLACE_BYTES);
  /** Sends from the same bytes. */
  readonly #sending = new MessageBatch(BATCH, PLACE_BYTES, this.#received.bytes);
  readonly #tally: Tally;
  readonly #routes: () => Routes;
  readonly #nowMs: () => number;
  readonly #uplinkMtu: number;
  #queued = 0;
  #hasMore = false;

  constructor(poller: Poller, tally: Tally, routes: () => Routes, nowMs: () => number, uplinkMtu: number) {
    this.#tally = tally;
    this.#routes = routes;
    this.#nowMs = nowMs;
    this.#uplinkMtu = uplinkMtu;
    this.flows = new ClientFlows(nowMs);
    poller.add(this.listener, { onReady: () => this.turn() });
  }

  get isBusy(): boolean {
    return this.#hasMore;
  }

  /** Takes in what is there. */
  turn(): void {
    for (let batch = 0; batch < BATCHES_PER_TURN; batch += 1) {
      const count = this.#received.receive(this.listener, PAYLOAD_AT);
      this.#hasMore = count === BATCH;
      for (let index = 0; index < count; index += 1) this.#take(index);
      this.#flush();
      if (!this.#hasMore) return;
    }
  }

  close(): void {
    sys.close(this.listener);
    sys.close(this.#raw);
  }

  #take(index: number): void {
    const source = this.#received.sender(index);
    const destination = this.#received.originalDestination(index);
    if (destination === undefined) return;
    const bytes = this.#received.lengthOf(index);
    const isDomains = source.address >>> 16 === INTERFACE_NETWORK;
    const datagram: Datagram = {
      at: index * PLACE_BYTES + PAYLOAD_AT,
      bytes,
      direction: isDomains ? "out" : "in",
      protocol: "udp",
      // As a domain knows itself, and as others know it.
      source: isDomains ? { address: this.#routes().serviceAddress, port: source.port } : source,
      sender: source,
      destination,
    };
    if (this.#received.wasCut(index)) this.#tally.count(NOBODY, "too_big", bytes, datagram);
    else if (isDomains) this.#fromDomain(datagram);
    else this.#fromUplink(datagram);
  }

  #fromDomain(datagram: Datagram): void {
    const { sender, source, destination, bytes } = datagram;
    const routes = this.#routes();
    const domain = routes.at(sender.address);
    if (domain === undefined) return;
    const isPeers =
      routes.isPeerPort(domain, "udp", source.port) || routes.isPeerPort(domain, "udp", destination.port);
    if (isPeers) return this.#mark(datagram, routes, domain);
    if (!routes.isClientPort(domain, "udp", source.port))
      return this.#tally.count(domain, "port_not_registered", bytes, datagram);
    if (!this.flows.answer(destination, source.port, domain.slot))
      return this.#tally.count(domain, "tuple_in_use", bytes, datagram);
    this.#send(datagram, destination, domain, "client_out");
  }

  #mark(datagram: Datagram, routes: Routes, domain: RoutedDomain): void {
    const { at, bytes, destination } = datagram;
    if (!routes.isManaged(destination.address))
      return this.#tally.count(domain, "unmanaged", bytes, datagram);
    if (HEADER_BYTES + UDP_MARK_BYTES + bytes > this.#uplinkMtu)
      return this.#tally.count(domain, "too_big", bytes, datagram);
    const mark = routes.markOf(domain);
    this.#received.bytes.set(encodeUdpMark(mark), at - UDP_MARK_BYTES);
    const marked = { ...datagram, at: at - UDP_MARK_BYTES, bytes: bytes + UDP_MARK_BYTES, mark };
    this.#send(marked, destination, domain, "marked");
  }

  #fromUplink(datagram: Datagram): void {
    const { at, bytes, source, destination } = datagram;
    const routes = this.#routes();
    const mark = decodeUdpMark(this.#received.bytes.subarray(at, at + bytes));
    if (mark !== undefined && routes.knowsService(mark.tag))
      this.#tally.hear(formatAddress(source.address), mark, this.#nowMs());
    const isPeers = routes.isAnyPeerPort("udp", source.port) || routes.isAnyPeerPort("udp", destination.port);
    if (mark !== undefined && isPeers) {
      const domain = routes.ofMark(mark);
      const tag = routes.knowsService(mark.tag) ? mark.tag : 0;
      const marked = { ...datagram, mark };
      if (domain === undefined) this.#tally.count({ tag, version: 0 }, "unknown_version", bytes, marked);
      else this.#deliver(marked, routes, domain);
    } else if (routes.isAnyClientPort("udp", destination.port)) {
      this.#fromClient(datagram, routes);
    } else {
      const tag = routes.tagOfPort("udp", destination.port);
      this.#tally.count({ tag, version: 0 }, "unmarked", bytes, datagram);
    }
  }

  #deliver(datagram: Datagram, routes: Routes, domain: RoutedDomain): void {
    const { at, bytes, source, destination } = datagram;
    const isRegistered =
      routes.isPeerPort(domain, "udp", source.port) || routes.isPeerPort(domain, "udp", destination.port);
    if (!isRegistered) return this.#tally.count(domain, "port_not_registered", bytes, datagram);
    const inDomain = { address: domain.address, port: destination.port };
    const plain = { ...datagram, at: at + UDP_MARK_BYTES, bytes: bytes - UDP_MARK_BYTES };
    this.#send(plain, inDomain, domain, "delivered");
  }

  #fromClient(datagram: Datagram, routes: Routes): void {
    const { source, destination } = datagram;
    const slot = this.flows.ask(
      source,
      destination.port,
      () => routes.clientDomain("udp", destination.port)?.slot,
    );
    const domain = slot === undefined ? undefined : routes.inSlot(slot);
    // The path leads to the host by now: nftables sends the next one there.
    if (domain === undefined) return;
    const inDomain = { address: domain.address, port: destination.port };
    this.#send(datagram, inDomain, domain, "client_in");
  }

  /** Queues the payload for `to`; the headers go in front of it. */
  #send(datagram: Datagram, to: Endpoint, who: Counted, verdict: string): void {
    const { at, bytes, source } = datagram;
    const packet = at - HEADER_BYTES;
    writeHeaders(this.#received.bytes, packet, source, to, bytes);
    this.#sending.setPacket(this.#queued, packet, HEADER_BYTES + bytes, to);
    this.#queued += 1;
    this.#tally.count(who, verdict, bytes, datagram);
  }

  /** What cannot be sent now is lost, as on any full queue; the rest of the batch goes on. */
  #flush(): void {
    for (let first = 0; first < this.#queued;) {
      const sent = this.#sending.send(this.#raw, first, this.#queued);
      if (sent < 0 && !EXPECTED.has(-sent))
        this.#tally.count(NOBODY, sent === -ERRNO.EMSGSIZE ? "too_big" : "kernel_error", 0);
      first += Math.max(sent, 1);
    }
    this.#queued = 0;
  }
}

/** A datagram in the batch: `bytes` of payload from `at`. */
interface Datagram extends Judged {
  readonly at: number;
  readonly bytes: number;
  /** Where it came from inside the node: a domain's management address. */
  readonly sender: Endpoint;
}
