/** What must have happened by when, computed from the state of a connection. Pure. */
import type { ConnectionLimits } from "./contract.ts";
import type { Inlet } from "./inlet.ts";
import { queuedBytes, type ServerLink } from "./server-link.ts";

/** The client's side of a connection. */
export interface ClientSide {
  /** Nothing more comes from the client / that was told to the handlers / the socket is gone. */
  ended: boolean;
  endReported: boolean;
  lost: boolean;
  lostBecause: string;
  reading: boolean;
  queuedBytes: number;
  progressAtMs: number;
  /** Our side of the stream was ended, and when. */
  endAsked: boolean;
  endAskedAtMs: number;
}

export type Deadline =
  | { readonly what: "idle" | "client-stalled" | "linger" | "message" | "drain-quiet"; readonly atMs: number }
  | { readonly what: "connect" | "server-stalled"; readonly atMs: number; readonly link: ServerLink };

export interface DeadlineState {
  readonly limits: ConnectionLimits;
  readonly client: ClientSide;
  readonly inlet: Inlet;
  readonly inFlight: number;
  readonly draining: boolean;
  readonly activeAtMs: number;
}

export function deadlinesOf(state: DeadlineState, links: readonly ServerLink[]): Deadline[] {
  const found: Deadline[] = [];
  eachDeadline(state, links, (what, atMs, link) => {
    found.push({ what, atMs, link } as Deadline);
  });
  return found;
}

/** Infinity when there is none. Asked for after every event, so it makes no objects. */
export function earliestDeadlineMs(state: DeadlineState, links: readonly ServerLink[]): number {
  let earliestMs = Infinity;
  eachDeadline(state, links, (_what, atMs) => {
    if (atMs < earliestMs) earliestMs = atMs;
  });
  return earliestMs;
}

function eachDeadline(
  state: DeadlineState,
  links: readonly ServerLink[],
  found: (what: Deadline["what"], atMs: number, link?: ServerLink) => void,
): void {
  const { client, inlet, limits, inFlight, activeAtMs } = state;
  // A client that is gone cannot be answered; what is in flight for it gets no longer than this.
  if (inFlight === 0 || client.lost) found("idle", activeAtMs + limits.idleTimeoutMs);
  if (client.queuedBytes > 0) found("client-stalled", client.progressAtMs + limits.stallTimeoutMs);
  if (client.endAsked) {
    if (client.queuedBytes === 0) found("linger", client.endAskedAtMs + limits.lingerTimeoutMs);
  } else {
    if (inlet.messageSinceMs !== undefined && inlet.quiet && !client.ended) {
      found("message", inlet.messageSinceMs + limits.messageTimeoutMs);
    }
    if (state.draining && inFlight === 0 && inlet.buffer.length === 0) {
      found("drain-quiet", activeAtMs + limits.drainQuietMs);
    }
  }
  for (const link of links) {
    if (link.lost) continue;
    if (!link.connected) found("connect", link.openedAtMs + limits.connectTimeoutMs, link);
    else if (queuedBytes(link) > 0) found("server-stalled", link.progressAtMs + limits.stallTimeoutMs, link);
  }
}
