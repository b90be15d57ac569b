/** One request on its way to some versions and back. */
import type { VersionSet } from "../versions/version-set.ts";
import type { Classified, Outcome, Policy, Step } from "./contract.ts";

/** The request at one version. */
export interface Attempt<Reply> {
  outcome: Outcome<Reply>;
  tries: number;
  /** Where the request begins in the stream of its server connection. */
  position: number;
  /** Ends a wait for the next try. */
  cancelRetry: (() => void) | undefined;
}

/** What the client gets in the place of the reply. */
export type Answer<Reply> =
  | { readonly kind: "reply"; readonly reply: Reply }
  /** The request was one without a reply. */
  | { readonly kind: "nothing" }
  /** The connection ends here: the protocol has no words for what happened. */
  | { readonly kind: "hang-up" };

/** `words`: the framing's, which finds none when its protocol has none, and may be the application's and throw. */
export function answerOf<Reply>(words: () => Reply | undefined, oneWay: boolean): Answer<Reply> {
  if (oneWay) return { kind: "nothing" };
  try {
    const reply = words();
    return reply === undefined ? { kind: "hang-up" } : { kind: "reply", reply };
  } catch {
    return { kind: "hang-up" };
  }
}

/** Why a copy has no reply: the version is at fault, or nobody waits for it any more. */
export type CopyEnd = "lost" | "cut";

export interface Exchange<Request, Reply> {
  /** Undefined when what the client sent was no request; then `answer` is there from the start. */
  readonly request: Request | undefined;
  /** Memory that it holds. */
  readonly bytes: number;
  readonly classified: Classified;
  readonly policy: Policy<Request, Reply>;
  /** Nobody replies to it: it is answered as soon as it is sent. */
  readonly oneWay: boolean;
  readonly attempts: Map<number, Attempt<Reply>>;
  /** Of a copy for a shadow: told of its reply, or of its loss. */
  readonly whenCopied?: (reply: Reply | undefined, why?: CopyEnd) => void;
  /** The copy is on a line that clients' requests use, too. */
  readonly onAnsweringLine?: boolean;
  /** Tells the connection that the request is over. */
  readonly done: () => void;
  /** Has its turn on this connection. */
  begun: boolean;
  begunAtMs: number;
  expired: boolean;
  /** It was looked at for signs of a sick version. */
  judged: boolean;
  /** Versions that ran when the request was sent; undefined while it waits for its key. */
  scope: VersionSet | undefined;
  answer: Answer<Reply> | undefined;
  cancelDeadline: (() => void) | undefined;
  releaseKey: (() => void) | undefined;
}

export function newExchange<Request, Reply>(
  start: Pick<
    Exchange<Request, Reply>,
    "request" | "bytes" | "classified" | "policy" | "oneWay" | "done" | "whenCopied" | "onAnsweringLine"
  >,
): Exchange<Request, Reply> {
  return {
    ...start,
    attempts: new Map(),
    begun: false,
    begunAtMs: 0,
    expired: false,
    judged: false,
    scope: undefined,
    answer: undefined,
    cancelDeadline: undefined,
    releaseKey: undefined,
  };
}

export function newAttempt<Reply>(): Attempt<Reply> {
  return { outcome: { kind: "pending" }, tries: 0, position: 0, cancelRetry: undefined };
}

/** Asks the policy. Versions that stopped running are taken out of the scope and of the attempts before. */
export function nextStep<Request, Reply>(
  exchange: Exchange<Request, Reply>,
  running: VersionSet,
): Step<Reply> {
  const { attempts, classified, scope } = exchange;
  if (scope === undefined || exchange.request === undefined) return { kind: "wait" };
  const outcomes = new Map<number, Outcome<Reply>>();
  scope.keepOnly(running);
  attempts.forEach((attempt, version) => {
    if (scope.has(version)) return void outcomes.set(version, attempt.outcome);
    attempt.cancelRetry?.();
    attempts.delete(version);
  });
  // A read may go to versions that came later; a write may not, because what came later gets it by migration.
  if (scope.size === 0 && classified.kind === "read") scope.replace(running);
  return exchange.policy({ request: exchange.request, versions: scope, outcomes });
}

/**
 * Whether the request may go before those ahead of it on the same connection are answered: reads run beside reads, a
 * write waits for all before it and lets none after it pass. (RFC 9112 §9.3.2 allows the same for pipelined requests.)
 */
export function mayBegin<Request, Reply>(
  exchange: Exchange<Request, Reply>,
  ahead: readonly Exchange<Request, Reply>[],
): boolean {
  const unanswered = ahead.filter((earlier) => earlier.answer === undefined);
  if (exchange.classified.kind !== "read") return unanswered.length === 0;
  return unanswered.every((earlier) => earlier.classified.kind === "read");
}

/** What a function of the application made of a reply; what it throws is the outcome. */
export function outcomeOf<Reply>(reply: () => Reply): Attempt<Reply>["outcome"] {
  try {
    return { kind: "replied", reply: reply() };
  } catch (error) {
    return { kind: "failed", failure: "internal", detail: `the proxy's code failed: ${messageOf(error)}` };
  }
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
