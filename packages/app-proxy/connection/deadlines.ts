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
  const { client, inlet, limits, inFlight, activeAtMs } = state;
  const found: Deadline[] = [];
  // A client that is gone cannot be answered; what is in flight for it gets no longer than this.
  if (inFlight === 0 || client.lost) found.push({ what: "idle", atMs: activeAtMs + limits.idleTimeoutMs });
  if (client.queuedBytes > 0)
    found.push({ what: "client-stalled", atMs: client.progressAtMs + limits.stallTimeoutMs });
  if (client.endAsked) {
    if (client.queuedBytes === 0)
      found.push({ what: "linger", atMs: client.endAskedAtMs + limits.lingerTimeoutMs });
  } else {
    if (inlet.messageSinceMs !== undefined && inlet.quiet && !client.ended) {
      found.push({ what: "message", atMs: inlet.messageSinceMs + limits.messageTimeoutMs });
    }
    if (state.draining && inFlight === 0 && inlet.buffer.length === 0) {
      found.push({ what: "drain-quiet", atMs: activeAtMs + limits.drainQuietMs });
    }
  }
  for (const link of links) {
    if (link.lost) continue;
    if (!link.connected)
      found.push({ what: "connect", atMs: link.openedAtMs + limits.connectTimeoutMs, link });
    else if (queuedBytes(link) > 0) {
      found.push({ what: "server-stalled", atMs: link.progressAtMs + limits.stallTimeoutMs, link });
    }
  }
  return found;
}
