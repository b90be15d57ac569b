/** What becomes of a request at a version whose connection was lost before the reply. Pure. */
import type { ServerEnd } from "../connection/contract.ts";
import type { Outcome } from "./contract.ts";
import type { Attempt, Exchange } from "./exchange.ts";
import type { ExchangeLimits } from "./options.ts";
import { retryAfterMs } from "./retry.ts";

export type AfterLoss =
  | { readonly kind: "again"; readonly pauseMs: number }
  | { readonly kind: "failed"; readonly outcome: Outcome<never> };

export function afterLoss<Request, Reply>(
  exchange: Exchange<Request, Reply>,
  attempt: Attempt<Reply>,
  end: ServerEnd,
  limits: ExchangeLimits,
  nowMs: number,
): AfterLoss {
  const unsent = attempt.position >= end.sentBytes;
  const { kind } = exchange.classified;
  const pauseMs = exchange.expired
    ? undefined
    : retryAfterMs({
        // A session request done twice is done once.
        kind: kind === "session" ? "read" : kind,
        tries: attempt.tries,
        unsent,
        reason: end.reason,
        versions: exchange.scope?.size ?? 0,
        ageMs: nowMs - exchange.begunAtMs,
        connectRetryMs: limits.connectRetryMs,
      });
  if (pauseMs !== undefined) return { kind: "again", pauseMs };
  const failure = unsent ? "unavailable" : "broken";
  const detail = `version ${end.version}: connection ${end.reason}`;
  return { kind: "failed", outcome: { kind: "failed", failure, detail } };
}

/** An end that we make: the server may have taken everything. */
export function brokenEnd(version: number, detail: string): ServerEnd {
  return { version, reason: "failed", sentBytes: Infinity, detail };
}
