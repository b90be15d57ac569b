/**
 * Every framing under every policy: splits and orders of delivery change no reply; under failures and changes of
 * versions no reply is lost, doubled, or given to another request or client.
 */
import * as fc from "fast-check";
import t from "tap";
import { createProxy, type ProxyOptions } from "../../index.ts";
import {
  framedReplies,
  framedServer,
  Harness,
  type HarnessClient,
  type ServerSide,
} from "../../testing/index.ts";
import { SUBJECTS, type Operation, type Subject } from "./matrix-subjects.ts";

/** For each framing under each policy. */
const RUNS = process.env["FULL"] === "1" ? 12 : 6;

// oxlint-disable-next-line typescript/no-explicit-any
type AnySubject = Subject<any, any>;
type Policies = Pick<
  ProxyOptions<unknown, unknown>,
  "reads" | "shadow" | "sickVersions" | "transformRequest" | "transformReply"
>;

const POLICIES: Readonly<Record<string, Policies>> = {
  "all, newest then older": {},
  quarantine: { sickVersions: { afterFailures: 1 } },
  shadow: { shadow: {} },
  "first that comes": { reads: "first" },
  longest: { reads: "longest" },
  "a function chooses": { reads: { choose: (replies) => replies.at(-1)?.reply } },
  translated: { transformRequest: (request) => request, transformReply: (reply) => reply },
};

const operation = fc.record({ writes: fc.boolean(), key: fc.constantFrom("a", "b") });
const operations = fc.array(operation, { minLength: 1, maxLength: 10 });
const choices = fc.array(fc.nat(97), { minLength: 2, maxLength: 20 });

function chooser(from: readonly number[]): (count: number) => number {
  let next = 0;
  return (count) => (from[next++ % from.length] ?? 0) % Math.max(1, count);
}

interface Play {
  readonly harness: Harness;
  readonly sides: Set<ServerSide>;
  readonly refusing: Set<number>;
  /** Writes that reached a version, in order. */
  readonly taken: Map<number, string[]>;
}

function play(subject: AnySubject, policies: Policies, chosen: readonly number[] | undefined): Play {
  const sides = new Set<ServerSide>();
  const refusing = new Set<number>();
  const taken = new Map<number, string[]>([1, 2].map((version) => [version, []]));
  const { framing, isWrite, keyOf, reply, words } = subject;
  const harness = new Harness({
    handlers: createProxy({
      ...policies,
      framing,
      classify: (request) => ({ kind: isWrite(request) ? "write" : "read", key: keyOf(request) }),
    }),
    versions: [1, 2],
    serve: (side) => {
      if (refusing.has(side.version)) return "refuse";
      sides.add(side);
      return framedServer(side, framing, (request, version) => {
        const answer: unknown = reply(request);
        if (isWrite(request)) taken.get(version)?.push(words(answer) ?? "");
        return answer;
      });
    },
    ...(chosen === undefined
      ? {}
      : { choose: chooser(chosen), cut: (bytes: number) => 1 + chooser(chosen.toReversed())(bytes) }),
  });
  return { harness, sides, refusing, taken };
}

const bytesOf = ({ framing, request }: AnySubject, list: readonly Operation[]): Buffer =>
  Buffer.concat(list.flatMap((each) => framing.encodeRequest(request(each))));

const numbered = (list: readonly Omit<Operation, "number">[], client: number): Operation[] =>
  list.map((each, index) => ({ ...each, number: client * 1000 + index }));

/** The words of the replies that a client got. */
function told(
  subject: AnySubject,
  client: HarnessClient,
  list: readonly Operation[],
): (string | undefined)[] {
  const requests = list.map((each): unknown => subject.request(each));
  return framedReplies(client.received, subject.framing, requests).map((reply) => subject.words(reply));
}

const wordsOf = (subject: AnySubject, each: Operation | undefined): string | undefined =>
  each === undefined ? undefined : subject.words(subject.reply(subject.request(each)));

for (const [framing, subject] of Object.entries(SUBJECTS)) {
  for (const [policy, policies] of Object.entries(POLICIES)) {
    t.test(`${framing}, ${policy}: any split gives the same replies in the same order`, async (t) => {
      await fc.assert(
        fc.asyncProperty(operations, choices, async (list, chosen) => {
          const mine = numbered(list, 1);
          const received: Buffer[] = [];
          for (const how of [undefined, chosen]) {
            const { harness } = play(subject, policies, how);
            const client = harness.connect();
            client.send(bytesOf(subject, mine));
            await harness.run();
            received.push(client.received);
            if (harness.requestsInFlight !== 0) return false;
            const words = told(subject, client, mine);
            if (words.length !== mine.length) return false;
            if (words.some((each, index) => each !== wordsOf(subject, mine[index]))) return false;
          }
          return new Set(received.map((bytes) => bytes.toString("latin1"))).size === 1;
        }),
        { numRuns: RUNS },
      );
      t.pass();
    });
  }
}

const trouble = fc.record({
  atStep: fc.nat(80),
  what: fc.constantFrom("reset", "refuse", "accept", "retire", "both", "pass", "lose a client"),
  version: fc.constantFrom(1, 2),
});

for (const [framing, subject] of Object.entries(SUBJECTS)) {
  for (const [policy, policies] of Object.entries(POLICIES)) {
    t.test(`${framing}, ${policy}: under troubles everybody gets their own replies, each once`, async (t) => {
      await fc.assert(
        fc.asyncProperty(
          fc.array(operations, { minLength: 1, maxLength: 3 }),
          fc.array(trouble, { maxLength: 6 }),
          choices,
          async (lists, troubles, chosen) => {
            const { harness, refusing, sides, taken } = play(subject, policies, chosen);
            let changed = false;
            const playing = lists.map((list, id) => {
              const mine = numbered(list, id + 1);
              const client = harness.connect();
              client.send(bytesOf(subject, mine));
              return { client, mine };
            });
            const lost = new Set<HarnessClient>();
            for (let step = 0; step < 100; step += 1) {
              for (const { what, version } of troubles.filter(({ atStep }) => atStep === step)) {
                if (what === "reset") for (const side of sides) if (side.version === version) side.reset();
                if (what === "refuse") refusing.add(version);
                if (what === "accept") refusing.clear();
                if (what === "pass") await harness.advance(100);
                if (what === "retire" || what === "both") {
                  changed = true;
                  harness.setVersions(what === "both" ? [1, 2] : [version]);
                }
                if (what === "lose a client" && playing.length > 1 && playing[0] !== undefined) {
                  lost.add(playing[0].client);
                  playing[0].client.reset();
                }
              }
              if (!harness.step()) await harness.run();
            }
            refusing.clear();
            await harness.advance(200_000);
            if (harness.requestsInFlight !== 0) return false;
            for (const { client, mine } of playing.filter((each) => !lost.has(each.client))) {
              const words = told(subject, client, mine);
              if (words.length !== mine.length) return false;
              for (const [index, each] of words.entries()) {
                const asked = mine[index];
                if (each === undefined || asked === undefined) continue;
                if (each !== wordsOf(subject, asked)) return false;
                // Where all must succeed, an acknowledged write is at all that ran throughout.
                const strict = policies.sickVersions === undefined && policies.shadow === undefined;
                if (asked.writes && strict && !changed && ![1, 2].every((v) => taken.get(v)?.includes(each)))
                  return false;
              }
            }
            // A write is sent to no version twice, unless nothing of it had been.
            return [...taken.values()].every((writes) => new Set(writes).size === writes.length);
          },
        ),
        { numRuns: RUNS },
      );
      t.pass();
    });
  }
}
