/** What the daemon and the relay's thread say to one another. */
import type { TraceFilter } from "../../control/contract.ts";
import type { HeardMark, TraceBatch } from "../datapath.ts";
import type { RelayPorts } from "./chains.ts";
import type { Endpoint } from "./endpoint.ts";
import type { TalliedPeer } from "./peer-tally.ts";
import type { RelayState } from "./state.ts";
import type { TalliedCounter } from "./tally.ts";

/** A connection or a client's datagrams. */
export interface RelayFlow {
  readonly slot: number;
  readonly protocol: "tcp" | "udp";
  readonly kind: "peer" | "client";
  readonly remote: Endpoint;
  readonly localPort: number;
  readonly state: "opening" | "open";
  readonly lastSeenMs: number;
}

export interface EngineOptions {
  /** MTU of the uplink, bytes. */
  readonly uplinkMtu: number;
  readonly state: RelayState;
}

/** Each is answered, in order. */
export type Command =
  /** From now on this is the node's state; what belongs to a domain that is gone is reset. */
  | { readonly type: "route"; readonly state: RelayState }
  /** Connections of clients to the domain in this slot. */
  | { readonly type: "connections"; readonly slot: number }
  /** Ends them. */
  | { readonly type: "reset"; readonly slot: number }
  | { readonly type: "clientFlows" }
  | { readonly type: "heard" }
  | { readonly type: "counters" }
  | { readonly type: "peerCounters" }
  | { readonly type: "flows" }
  /** Takes what was traced, and goes on with this filter, or ends. */
  | { readonly type: "trace"; readonly filter: TraceFilter | undefined }
  /** Closes every socket; the thread ends. */
  | { readonly type: "stop" };

/** What each command is answered with. */
export interface Answers {
  readonly route: undefined;
  readonly connections: number;
  readonly reset: number;
  /** As elements of the set of nftables: `10.0.0.1 . 5000 . 53`. */
  readonly clientFlows: readonly string[];
  readonly heard: readonly HeardMark[];
  readonly counters: readonly TalliedCounter[];
  readonly peerCounters: readonly TalliedPeer[];
  readonly flows: readonly RelayFlow[];
  readonly trace: Omit<TraceBatch, "unseen">;
  readonly stop: undefined;
}

export interface Request {
  readonly id: number;
  readonly command: Command;
}

export type Reply =
  | {
      readonly type: "ready";
      /** Where its sockets listen, on loopback. */
      readonly ports: RelayPorts;
      /** An eventfd: writing to it wakes the thread, which then reads its requests. */
      readonly wakeFd: number;
    }
  | { readonly type: "failed"; readonly code: string; readonly message: string }
  | { readonly type: "answer"; readonly id: number; readonly value: Answers[keyof Answers] };
