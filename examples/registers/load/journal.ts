/** What the clients of one service did and saw, for the checker, and in figures. */
import type { Action, Operation } from "../../linearizability/history.ts";
import type { Reply, Request } from "./protocol.ts";

export interface Figures {
  /** Requests that were sent, repeats included. */
  readonly requests: number;
  readonly answered: number;
  /** Answered by an error, or not in time on a stream that stood, or for many repeats; what they were, the first few. */
  readonly failed: number;
  readonly misordered: number;
  readonly faults: readonly string[];
  /** Without an answer when their connection ended, or, of datagrams, in time; repeated under another value. */
  readonly lost: number;
  /** Sent behind a reply that turned out to be announced as the last of its connection; repeated in the same way. */
  readonly turnedAway: number;
  readonly connections: number;
  /** Connections that ended while requests were unanswered. */
  readonly broken: number;
}

const FAULTS_KEPT = 10;

export class Journal {
  readonly operations: Operation[] = [];
  readonly #prefix: string;
  readonly #faults: string[] = [];
  readonly #count = {
    requests: 0,
    answered: 0,
    failed: 0,
    misordered: 0,
    lost: 0,
    turnedAway: 0,
    connections: 0,
    broken: 0,
  };

  /** `service` goes in front of keys, so that histories of several services can be put together. */
  constructor(service: string) {
    this.#prefix = `${service} `;
  }

  figures(): Figures {
    return { ...this.#count, faults: [...this.#faults] };
  }

  count(what: "requests" | "connections" | "broken"): void {
    this.#count[what] += 1;
  }

  fail(what: string): void {
    this.#count.failed += 1;
    if (this.#faults.length < FAULTS_KEPT) this.#faults.push(what);
  }

  answered(request: Request, reply: Reply, begunAt: number, endedAt: number): void {
    this.#count.answered += 1;
    const action = reply.kind === "state" ? actionOf(request, reply) : undefined;
    if (action !== undefined) return this.#keep(request, action, begunAt, endedAt);
    this.#keep(request, unknown(request), begunAt, undefined);
    if (reply.kind === "error") return this.fail(reply.text);
    this.#count.misordered += 1;
    if (this.#faults.length < FAULTS_KEPT) this.#faults.push(`misplaced: ${JSON.stringify(reply)}`);
  }

  /** Nobody knows what became of the request, or (for the checker the same) it was not done. */
  lost(request: Request, begunAt: number, why: "lost" | "turnedAway" = "lost"): void {
    this.#count[why] += 1;
    this.#keep(request, unknown(request), begunAt, undefined);
  }

  #keep(request: Request, action: Action, begunAt: number, endedAt: number | undefined): void {
    this.operations.push({ key: this.#prefix + request.key, action, begunAt, endedAt });
  }
}

function unknown(request: Request): Action {
  if (request.kind === "read") return { kind: "read", value: null };
  if (request.kind === "write") return { kind: "write", value: request.value };
  return { kind: "cas", expected: request.expected, value: request.value, done: false };
}

/** Undefined when this cannot be the reply to the request. */
function actionOf(request: Request, { done, value }: Extract<Reply, { kind: "state" }>): Action | undefined {
  if (request.kind === "read") return value === undefined ? undefined : { kind: "read", value };
  if (request.kind === "write") return done ? { kind: "write", value: request.value } : undefined;
  const { expected } = request;
  return {
    kind: "cas",
    expected,
    value: request.value,
    done,
    ...(done || value === undefined ? {} : { found: value }),
  };
}
