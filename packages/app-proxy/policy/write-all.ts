/**
 * Write to every version that runs, succeed only if all do (CMU-CS-05-190 §3.3).
 *
 * Failures are told in this order: a reply that refuses, of the newest version that gave one; then a broken or late
 * connection, whose effect on that version nobody knows; then a version that could not be reached.
 */
import type { FailureKind } from "../framing/contract.ts";
import type { Outcome, Policy, Step } from "./contract.ts";

const UNKNOWN_FIRST: readonly FailureKind[] = ["internal", "late", "broken", "unavailable"];

export function writeAll<Request, Reply>(options: {
  readonly isSuccess: (reply: Reply, request: Request) => boolean;
}): Policy<Request, Reply> {
  return ({ request, versions, outcomes }) => {
    if (versions.size === 0) return { kind: "fail", failure: "unavailable", detail: "no version is running" };
    if (outcomes.size === 0) return { kind: "send", versions: [...versions] };
    const newestFirst = [...versions.descending()].flatMap((version) => outcomes.get(version) ?? []);
    if (newestFirst.some((outcome) => outcome.kind === "pending")) return { kind: "wait" };
    const replies = newestFirst.flatMap((outcome) => (outcome.kind === "replied" ? [outcome.reply] : []));
    const refusal = replies.find((reply) => !options.isSuccess(reply, request));
    if (refusal !== undefined) return { kind: "answer", reply: refusal };
    const [newest] = replies;
    return worstFailure(newestFirst) ?? { kind: "answer", reply: newest as Reply };
  };
}

/** The failure that leaves most in doubt, undefined when there is none. */
export function worstFailure<Reply>(outcomes: readonly Outcome<Reply>[]): Step<Reply> | undefined {
  for (const failure of UNKNOWN_FIRST) {
    const found = outcomes.find((outcome) => outcome.kind === "failed" && outcome.failure === failure);
    if (found?.kind === "failed") return { kind: "fail", failure, detail: found.detail };
  }
  return undefined;
}
