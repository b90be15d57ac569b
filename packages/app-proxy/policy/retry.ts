/** When a request that a version did not answer may be sent to it again, and after how long. Pure. */
import type { ServerEnd } from "../connection/contract.ts";

/** First and longest pause before a request is tried again, milliseconds; doubled from one to the other. */
const FIRST_MS = 50;
const LONGEST_MS = 1_000;
/** A read is sent this often to one version, when the version may have got it or another version can answer. */
const READ_TRIES = 2;

export interface LostRequest {
  readonly kind: "read" | "write";
  /** How often it was sent, or meant to be, to this version. */
  readonly tries: number;
  /** Nothing of it can have reached the server. */
  readonly unsent: boolean;
  readonly reason: ServerEnd["reason"];
  /** Versions that can be asked, this one included. */
  readonly versions: number;
  /** Milliseconds since its turn came, and for how long an unsent request is tried. */
  readonly ageMs: number;
  readonly connectRetryMs: number;
}

/** Milliseconds until it is sent again, undefined when it must not be. */
export function retryAfterMs(lost: LostRequest): number | undefined {
  if (!mayRetry(lost)) return undefined;
  return lost.reason === "refused" ? Math.min(FIRST_MS * 2 ** (lost.tries - 1), LONGEST_MS) : 0;
}

function mayRetry({ kind, tries, unsent, reason, versions, ageMs, connectRetryMs }: LostRequest): boolean {
  if (kind === "write" && !unsent) return false;
  // A read need not wait for a version when another can answer.
  if (kind === "read" && versions > 1) return tries < READ_TRIES && reason !== "refused";
  return unsent ? ageMs < connectRetryMs : tries < READ_TRIES;
}
