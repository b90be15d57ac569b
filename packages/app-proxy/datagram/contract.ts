/** The words between the core of a client's flow of datagrams and the shell that owns its sockets. */
import type { ProxyHandlers } from "../connection/contract.ts";
import type { VersionSet } from "../versions/version-set.ts";

/** Bounds of the clients of one UDP port. A client is an address and port; what it sends is a flow. */
export interface FlowLimits {
  /** Flows at a time; beyond it the one that was quiet for longest is forgotten. Each costs a socket per version. Default 4,096. */
  readonly flowsMax: number;
  /** Bytes that all flows hold; beyond it those quiet for longest are forgotten. Default 64 MiB. */
  readonly bytesMax: number;
  /** Datagrams of one sender that wait for an asynchronous handler; beyond it they are dropped. Default 64. */
  readonly waitingMax: number;
  /** Milliseconds without a datagram and without a request in flight until a flow is forgotten. Default 60,000. */
  readonly idleTimeoutMs: number;
  /** While draining: milliseconds in which no client sends, after which the port is closed. Default 1,000. */
  readonly drainQuietMs: number;
}

export const DEFAULT_FLOW_LIMITS: FlowLimits = {
  flowsMax: 4_096,
  bytesMax: 64 * 1024 * 1024,
  waitingMax: 64,
  idleTimeoutMs: 60_000,
  drainQuietMs: 1_000,
};

/** Datagrams that went no further, by reason. */
export interface DatagramCounts {
  /** More than `waitingMax` waited for a handler. */
  overflowed: number;
  /** The handler threw. */
  failed: number;
  /** Flows forgotten because of `flowsMax` or `bytesMax`. */
  evicted: number;
}

export interface FlowOptions {
  readonly id: number;
  readonly clientAddress: string;
  readonly handlers: ProxyHandlers;
  readonly versions: VersionSet;
  readonly limits: FlowLimits;
  readonly counts: DatagramCounts;
  /** Milliseconds, never going back. */
  now(): number;
  /** Gets each action in order; must not call the flow back before it returns. */
  emit(action: FlowAction): void;
  /** Told of bytes that requests hold from now on, or (negative) no longer. */
  hold?(bytes: number): void;
  /** Told of each request that starts; the returned function of its end. */
  trackRequest?(): () => void;
}

/** What the shell tells a flow. `link` is the number that the flow gave in `open`. */
export type FlowEvent =
  | { readonly kind: "client-datagram"; readonly bytes: Uint8Array }
  | { readonly kind: "server-datagram"; readonly link: number; readonly bytes: Uint8Array }
  | {
      readonly kind: "server-lost";
      readonly link: number;
      readonly refused: boolean;
      readonly detail: string;
    }
  /** The promise of an `await` action settled. */
  | { readonly kind: "handled"; readonly token: number }
  | { readonly kind: "versions-changed" }
  | { readonly kind: "drain" }
  | { readonly kind: "forget"; readonly why: string }
  | { readonly kind: "tick" };

export type FlowAction =
  | { readonly kind: "client-send"; readonly bytes: Buffer }
  /** A socket of its own towards a version: its source port tells this client's replies from others'. */
  | { readonly kind: "open"; readonly link: number; readonly version: number }
  | { readonly kind: "server-send"; readonly link: number; readonly bytes: Buffer }
  | { readonly kind: "server-close"; readonly link: number }
  | { readonly kind: "await"; readonly token: number; readonly promise: Promise<number> }
  | { readonly kind: "wake-at"; readonly atMs: number }
  /** Comes once, last. */
  | { readonly kind: "closed"; readonly why: string };
