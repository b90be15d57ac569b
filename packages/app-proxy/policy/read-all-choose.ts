/** Ask every version that runs and choose among the replies. Versions that fail have no say. */
import type { Policy } from "./contract.ts";
import { worstFailure } from "./write-all.ts";

export interface VersionReply<Reply> {
  readonly version: number;
  readonly reply: Reply;
}

export interface ReadAllOptions<Request, Reply> {
  /**
   * A function gets at least one reply, newest version first, when all have come, and returns one of them or one made
   * of them. `first` answers with the first success that comes; `longest` with the longest success, of equally long
   * ones the newest version's. Without a success both answer with the newest version's reply.
   */
  readonly choose:
    "first" | "longest" | ((replies: readonly VersionReply<Reply>[], request: Request) => Reply);
  /** For `first` and `longest`. Default: every reply is a success. */
  readonly isSuccess?: (reply: Reply, request: Request) => boolean;
  /** For `longest`. Default: every reply is as long as any other. */
  readonly lengthOf?: (reply: Reply) => number;
}

export function readAllChoose<Request, Reply>(
  options: ReadAllOptions<Request, Reply>,
): Policy<Request, Reply> {
  const { choose, isSuccess = () => true } = options;
  return ({ request, versions, outcomes }) => {
    if (versions.size > 0 && outcomes.size === 0) return { kind: "send", versions: [...versions] };
    const newestFirst = [...versions.descending()].flatMap((version) => {
      const outcome = outcomes.get(version);
      return outcome === undefined ? [] : [{ version, outcome }];
    });
    const replies = newestFirst.flatMap(({ version, outcome }) =>
      outcome.kind === "replied" ? [{ version, reply: outcome.reply }] : [],
    );
    const successes = replies.filter(({ reply }) => isSuccess(reply, request));
    if (choose === "first" && successes[0] !== undefined)
      return { kind: "answer", reply: successes[0].reply };
    if (newestFirst.some(({ outcome }) => outcome.kind === "pending")) return { kind: "wait" };
    const [newest] = replies;
    if (newest !== undefined) {
      if (typeof choose === "function") return { kind: "answer", reply: choose(replies, request) };
      return { kind: "answer", reply: longest(successes, options.lengthOf) ?? newest.reply };
    }
    const failure = worstFailure(newestFirst.map(({ outcome }) => outcome));
    return failure ?? { kind: "fail", failure: "unavailable", detail: "no version is running" };
  };
}

function longest<Reply>(
  replies: readonly VersionReply<Reply>[],
  lengthOf: (reply: Reply) => number = () => 0,
): Reply | undefined {
  let best: { readonly reply: Reply; readonly length: number } | undefined;
  for (const { reply } of replies) {
    const length = lengthOf(reply);
    if (best === undefined || length > best.length) best = { reply, length };
  }
  return best?.reply;
}
