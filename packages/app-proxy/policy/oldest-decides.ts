/**
 * The oldest version decides, the others copy: a request goes to the oldest version that runs, which says what became
 * of it and what the item is now; the newer versions are given that state; only then is the client answered, also a
 * reader. So whatever anybody was told is at every version, however the process dies between two versions, and
 * whatever clients still do at the oldest version past the proxy. With versions that keep of two states the newer one
 * (by a stamp that the deciding version gave), operations stay linearizable per item from the first moment with a
 * proxy until the last, and the newest version alone goes on from there.
 *
 * Writing to all at once and reading the newest is quicker and does not promise this: see docs/PROXY.md.
 */
import type { Policy, Progress, Step } from "./contract.ts";
import { worstFailure } from "./write-all.ts";

export interface OldestDecidesOptions<Request extends object, Reply> {
  /**
   * The request for the version that decides. When that version is retired before it replied, the next one is asked,
   * though the first may have done it and shown it to others: a request that must not be done twice has to carry an
   * identity that goes with the state. Default: as the client sent it.
   */
  readonly ask?: (request: Request, version: number) => Request;
  /** What gives another version the state that the deciding reply speaks of; undefined when it speaks of none. */
  readonly copy: (reply: Reply, request: Request, version: number) => Request | undefined;
  /** Whether a version took its copy, or holds something newer. */
  readonly isCopied: (reply: Reply, request: Request) => boolean;
  /** The deciding reply as the client wants it. Default: as it is. */
  readonly answer?: (reply: Reply, request: Request) => Reply;
}

export interface OldestDecides<Request extends object, Reply> {
  readonly reads: Policy<Request, Reply>;
  readonly writes: Policy<Request, Reply>;
  readonly transformRequest: (request: Request, version: number) => Request;
}

interface Decision<Reply> {
  readonly by: number;
  readonly reply: Reply;
}

/** Options of a proxy: `createProxy({ framing, classify, ...oldestDecides({ … }) })`. */
export function oldestDecides<Request extends object, Reply>(
  options: OldestDecidesOptions<Request, Reply>,
): OldestDecides<Request, Reply> {
  const { answer = (reply) => reply, ask = (request) => request, copy, isCopied } = options;
  /** Kept when the version that decided is retired meanwhile: what it said may have been shown already. */
  const decisions = new WeakMap<Request, Decision<Reply>>();

  const policy: Policy<Request, Reply> = (progress) => {
    const { request } = progress;
    const decision = decisions.get(request) ?? decisionIn(progress);
    if ("kind" in decision) return decision;
    decisions.set(request, decision);
    const others = [...progress.versions].filter(
      (version) => version !== decision.by && copy(decision.reply, request, version) !== undefined,
    );
    const pending = copying(progress, others, isCopied);
    return pending ?? { kind: "answer", reply: answer(decision.reply, request) };
  };

  return {
    reads: policy,
    writes: policy,
    transformRequest: (request, version) => {
      const decision = decisions.get(request);
      if (decision === undefined || decision.by === version) return ask(request, version);
      return copy(decision.reply, request, version) ?? request;
    },
  };
}

function decisionIn<Request, Reply>({
  versions,
  outcomes,
}: Progress<Request, Reply>): Decision<Reply> | Step<Reply> {
  const oldest = versions.min;
  if (oldest === undefined) return { kind: "fail", failure: "unavailable", detail: "no version is running" };
  const outcome = outcomes.get(oldest);
  if (outcome === undefined) return { kind: "send", versions: [oldest] };
  if (outcome.kind === "pending") return { kind: "wait" };
  if (outcome.kind === "replied") return { by: oldest, reply: outcome.reply };
  return { kind: "fail", failure: outcome.failure, detail: outcome.detail };
}

/** What is left to do until all of `others` have their copy; undefined when they have. */
function copying<Request, Reply>(
  { request, outcomes }: Progress<Request, Reply>,
  others: readonly number[],
  isCopied: (reply: Reply, request: Request) => boolean,
): Step<Reply> | undefined {
  const unsent = others.filter((version) => !outcomes.has(version));
  if (unsent.length > 0) return { kind: "send", versions: unsent };
  const outcomesOfOthers = others.flatMap((version) => outcomes.get(version) ?? []);
  if (outcomesOfOthers.some((outcome) => outcome.kind === "pending")) return { kind: "wait" };
  const refused = outcomesOfOthers.some(
    (outcome) => outcome.kind === "replied" && !isCopied(outcome.reply, request),
  );
  if (refused) return { kind: "fail", failure: "broken", detail: "a version did not take its copy" };
  return worstFailure(outcomesOfOthers);
}
