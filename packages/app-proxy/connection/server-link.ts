/** State of one connection to a server of one version. Pure; `core.ts` drives it. */
import type { ServerEnd } from "./contract.ts";
import type { Inlet } from "./inlet.ts";

export interface ServerLink {
  readonly id: number;
  readonly version: number;
  readonly inlet: Inlet;
  readonly openedAtMs: number;
  connected: boolean;
  /** Bytes waiting for the connection to be made. */
  held: Buffer[];
  /** Bytes enqueued since the link was made: the position of the next byte in its stream. */
  enqueuedBytes: number;
  /** Bytes given to the shell, which may have reached the server. */
  sentBytes: number;
  /** Bytes that the shell says have left the process. */
  writtenBytes: number;
  progressAtMs: number;
  /** Its queue holds up nobody. */
  background: boolean;
  reading: boolean;
  /** Our side of the stream was asked to end / the end was given to the shell. */
  endAsked: boolean;
  endSent: boolean;
  /** Why the server's side is over, until and after it has been reported to the handlers. */
  over: ServerEnd["reason"] | undefined;
  overDetail: string | undefined;
  reported: boolean;
  /** The socket is gone, not only the server's half of the stream. */
  lost: boolean;
}

export function newLink(id: number, version: number, inlet: Inlet, nowMs: number): ServerLink {
  return {
    id,
    version,
    inlet,
    openedAtMs: nowMs,
    connected: false,
    held: [],
    enqueuedBytes: 0,
    sentBytes: 0,
    writtenBytes: 0,
    progressAtMs: nowMs,
    background: false,
    reading: true,
    endAsked: false,
    endSent: false,
    over: undefined,
    overDetail: undefined,
    reported: false,
    lost: false,
  };
}

/** Bytes accepted for this server that have not left the process. */
export function queuedBytes(link: ServerLink): number {
  return link.enqueuedBytes - link.writtenBytes;
}

export function endOf(link: ServerLink): ServerEnd {
  return {
    version: link.version,
    reason: link.over ?? "failed",
    sentBytes: link.sentBytes,
    ...(link.overDetail === undefined ? {} : { detail: link.overDetail }),
  };
}
