/**
 * Read from the newest version; what it does not have is asked of the next older one, and so on (CMU-CS-05-190 §3.3:
 * what the migrator has not copied yet is still there). When none has it, the newest version's reply is the answer.
 */
import type { Policy } from "./contract.ts";
import { worstFailure } from "./write-all.ts";

export function readNewestThenOlder<Request, Reply>(options: {
  readonly isSuccess: (reply: Reply, request: Request) => boolean;
}): Policy<Request, Reply> {
  return ({ request, versions, outcomes }) => {
    for (const version of versions.descending()) {
      const outcome = outcomes.get(version);
      if (outcome === undefined) return { kind: "send", versions: [version] };
      if (outcome.kind === "pending") return { kind: "wait" };
      if (outcome.kind === "replied" && options.isSuccess(outcome.reply, request)) {
        return { kind: "answer", reply: outcome.reply };
      }
    }
    const newestFirst = [...versions.descending()].flatMap((version) => outcomes.get(version) ?? []);
    const reply = newestFirst.find((outcome) => outcome.kind === "replied");
    if (reply?.kind === "replied") return { kind: "answer", reply: reply.reply };
    return (
      worstFailure(newestFirst) ?? { kind: "fail", failure: "unavailable", detail: "no version is running" }
    );
  };
}
