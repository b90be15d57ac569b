/** The relay's live trace: keeps what is asked for until the daemon takes it, within a bound. Pure. */
import { meaningOf } from "../../control/verdicts.ts";
import { TRACE_LEASE_MS } from "../datapath.ts";
import { isAskedFor } from "../trace-filter.ts";
import { formatAddress } from "./endpoint.ts";
import type { TraceFilter, TracedPacket } from "../../control/contract.ts";
import type { Mark } from "../../mark/mark.ts";
import type { TraceBatch } from "../datapath.ts";
import type { Endpoint } from "./endpoint.ts";

/** As the queue of the kernel's data path. */
const PACKETS_MAX = 8192;

/** What was judged: a datagram, or a portion of a stream. */
export interface Judged {
  readonly direction: "out" | "in";
  readonly protocol: "tcp" | "udp";
  readonly source: Endpoint;
  readonly destination: Endpoint;
  readonly mark?: Mark | undefined;
}

/** Whom a verdict was counted for. */
export interface CountedFor {
  readonly tag: number;
  readonly version: number;
  readonly verdict: string;
  readonly bytes: number;
}

export class RelayTrace {
  readonly #nameOf: (tag: number) => string;
  #filter: TraceFilter | undefined;
  #untilMs = 0;
  #packets: TracedPacket[] = [];
  #missed = 0;

  constructor(nameOf: (tag: number) => string) {
    this.#nameOf = nameOf;
  }

  /** Takes what there is and goes on with this filter, or ends. */
  take(filter: TraceFilter | undefined, nowMs: number): Omit<TraceBatch, "unseen"> {
    const batch = { packets: this.#packets, missed: this.#missed };
    this.#packets = [];
    this.#missed = 0;
    this.#filter = filter;
    this.#untilMs = nowMs + TRACE_LEASE_MS;
    return filter === undefined ? { packets: [], missed: 0 } : batch;
  }

  see(judged: Judged, counted: CountedFor, nowMs: number): void {
    if (this.#filter === undefined) return;
    if (nowMs > this.#untilMs) {
      // The daemon asks several times a second; when it has stopped asking, nobody wants it.
      this.#filter = undefined;
      this.#packets = [];
      return;
    }
    const packet = this.#packet(judged, counted, nowMs);
    if (!isAskedFor(packet, this.#filter)) return;
    if (this.#packets.length >= PACKETS_MAX) this.#missed += 1;
    else this.#packets.push(packet);
  }

  #packet(judged: Judged, { tag, version, verdict, bytes }: CountedFor, nowMs: number): TracedPacket {
    const { direction, protocol, source, destination, mark } = judged;
    return {
      type: "packet",
      atMs: nowMs,
      hook: "relay",
      direction,
      protocol,
      source: formatAddress(source.address),
      sourcePort: source.port,
      destination: formatAddress(destination.address),
      destinationPort: destination.port,
      bytes,
      service: this.#nameOf(tag),
      version,
      ...(mark === undefined ? {} : { mark: this.#mark(mark) }),
      verdict,
      ...meaningOf(verdict),
    };
  }

  #mark({ tag, version, advertisement }: Mark): NonNullable<TracedPacket["mark"]> {
    const said = { service: this.#nameOf(tag), tag, senderVersion: version };
    return advertisement === undefined ? said : { ...said, advertisement };
  }
}
