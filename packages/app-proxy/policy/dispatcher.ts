/**
 * Sends one client connection's requests where the policies say, and gathers the replies.
 * What failed is tried again when that cannot do harm (`retry.ts`).
 */
import type { PeekBuffer } from "../buffer/peek-buffer.ts";
import type { Connection, ServerEnd } from "../connection/contract.ts";
import type { FailureKind } from "../framing/contract.ts";
import type { VersionSet } from "../versions/version-set.ts";
import { CompareExchanges } from "./compare-exchanges.ts";
import {
  answerOf,
  messageOf,
  newAttempt,
  nextStep,
  outcomeOf,
  type Answer,
  type Attempt,
  type Exchange,
} from "./exchange.ts";
import { afterLoss, brokenEnd } from "./loss.ts";
import type { ServerLine } from "./server-line.ts";
import { ServerLines } from "./server-lines.ts";
import { Shadow } from "./shadow.ts";
import type { SharedState } from "./shared-state.ts";

export class Dispatcher<Request, Reply> {
  readonly #shared: SharedState<Request, Reply>;
  readonly #connection: Connection;
  readonly #answered: () => void;
  readonly #lines: ServerLines<Request, Reply>;
  readonly #compare: CompareExchanges<Request, Reply> | undefined;
  readonly #shadow: Shadow<Request, Reply> | undefined;

  /** `answered` is called after everything that may have given exchanges their answers. */
  constructor(shared: SharedState<Request, Reply>, connection: Connection, answered: () => void) {
    this.#shared = shared;
    this.#connection = connection;
    this.#answered = answered;
    this.#lines = new ServerLines(shared.options, connection, shared.limits.serverIdleMs);
    const giveUp = (version: number): void => this.#loseLine(brokenEnd(version, "a shadow is late"));
    const { comparisons, options } = shared;
    const context = { connection, lines: this.#lines, shared };
    if (comparisons !== undefined) this.#compare = new CompareExchanges(comparisons, context);
    if (options.shadow !== undefined) {
      this.#shadow = new Shadow(options.shadow, { ...context, compare: this.#compare, giveUp });
    }
  }

  /** The exchange has its turn on the connection; a write with a key waits for the key first. */
  begin(exchange: Exchange<Request, Reply>): void {
    const { limits, keyOrder } = this.#shared;
    const { kind, key } = exchange.classified;
    exchange.begunAtMs = this.#connection.now();
    exchange.cancelDeadline = this.#connection.after(limits.requestTimeoutMs, () => this.#expire(exchange));
    const dispatch = (): void => {
      exchange.scope = this.#answering().snapshot();
      this.step(exchange);
    };
    if (kind !== "write" || key === undefined) return dispatch();
    let atOnce = true;
    const release = keyOrder.acquire(key, () => {
      dispatch();
      if (!atOnce) this.#answered();
    });
    atOnce = false;
    if (exchange.answer === undefined) exchange.releaseKey = release;
    else release();
  }

  /** Does what the policy says now. What the application's own functions throw is the answer to this request. */
  step(exchange: Exchange<Request, Reply>): void {
    if (exchange.answer !== undefined) return;
    try {
      this.#shared.judge(exchange, this.#connection.versions(), this.#connection.now());
      this.#take(exchange);
    } catch (error) {
      this.#fail(exchange, "internal", `the proxy's code failed: ${messageOf(error)}`);
    }
  }

  onReply(version: number, buffer: PeekBuffer): number {
    const line = this.#lines.get(version);
    const request = line?.waiting[0]?.request;
    if (line === undefined || request === undefined) {
      // Nobody asked. Whatever it is, the next request must not be answered by it.
      this.#loseLine(brokenEnd(version, "it sent what nobody asked for"));
      return buffer.length;
    }
    const frame = line.reader.read(buffer, request, false);
    if (frame.kind === "incomplete") return 0;
    if (frame.kind === "skip") return frame.bytes;
    const bytes = frame.kind === "message" ? frame.bytes : buffer.length;
    if (frame.kind === "message") this.#takeReply(version, line, frame.message);
    else this.#loseLine(brokenEnd(version, frame.why));
    this.#answered();
    return bytes;
  }

  onServerEnd(end: ServerEnd, buffer: PeekBuffer): void {
    const line = this.#lines.get(end.version);
    const request = line?.waiting[0]?.request;
    if (line !== undefined && request !== undefined && end.reason === "ended") {
      const frame = line.reader.read(buffer, request, true);
      if (frame.kind === "message") this.#takeReply(end.version, line, frame.message);
    }
    this.#loseLine(end);
    this.#answered();
  }

  abandon(exchange: Exchange<Request, Reply>): void {
    if (exchange.answer === undefined) this.#fail(exchange, "broken", "the client's connection is over");
  }

  /** Gives up connections whose version has another role now, and with them what they owe. */
  onRolesChanged(): void {
    const shadows = this.#shared.roles.shadows(this.#connection.versions());
    const answering = this.#answering();
    this.#lines.dropUnless((version, line) => (line.hasCopies() ? shadows : answering).has(version));
    this.#compare?.onRolesChanged(answering);
  }

  /** The client is gone. */
  onClosed(): void {
    this.dropCopies();
    this.#compare?.onClosed();
  }

  /** What is on its way to shadows is not worth waiting for. */
  dropCopies(): void {
    const answering = this.#answering();
    this.#lines.dropUnless((version) => answering.has(version));
  }

  #answering(): VersionSet {
    return this.#shared.roles.answering(this.#connection.versions());
  }

  #take(exchange: Exchange<Request, Reply>): void {
    // Judging it may have led here already.
    if (exchange.answer !== undefined) return;
    const step = nextStep(exchange, this.#answering());
    switch (step.kind) {
      case "wait":
        return;
      case "answer":
        return this.#reply(exchange, step.reply);
      case "fail":
        return this.#fail(exchange, step.failure, step.detail);
      case "send":
        if (exchange.expired) return this.#fail(exchange, "late", "the versions did not answer in time");
        for (const version of step.versions) exchange.attempts.set(version, newAttempt());
        this.#compare?.sent(exchange, step.versions);
        for (const version of step.versions) this.#send(exchange, version);
        if (exchange.oneWay) this.#answer(exchange, { kind: "nothing" });
    }
  }

  #send(exchange: Exchange<Request, Reply>, version: number): void {
    const attempt = exchange.attempts.get(version);
    if (attempt === undefined) return;
    attempt.tries += 1;
    attempt.cancelRetry = undefined;
    attempt.position = this.#lines.send(this.#lines.to(version), version, exchange);
    this.#shared.countsOf(version).sent += 1;
  }

  #takeReply(version: number, line: ServerLine<Request, Reply>, reply: Reply): void {
    const { framing, transformReply } = this.#shared.options;
    line.used(this.#connection.now(), framing.idleHintMs?.(reply));
    const exchange = line.answeredBy(reply);
    if (exchange === undefined) return;
    const request = exchange.request as Request;
    this.#shared.countsOf(version).replied += 1;
    exchange.whenCopied?.(reply);
    const attempt = exchange.attempts.get(version);
    if (attempt !== undefined) {
      attempt.outcome = outcomeOf(() => transformReply?.(reply, version, request) ?? reply);
      this.#compare?.settle(exchange);
    }
    // A server that says so does not process what was sent behind (RFC 9112 §9.6): as good as never sent.
    if (framing.isLastReply?.(reply) === true) this.#loseLine({ version, reason: "ended", sentBytes: 0 });
    this.step(exchange);
  }

  /** The connection to a server is of no use any more; what it owes is sent again, failed, or left to the policy. */
  #loseLine(end: ServerEnd): void {
    for (const exchange of this.#lines.drop(end.version)) {
      const attempt = exchange.attempts.get(end.version);
      if (attempt === undefined) continue;
      if (exchange.answer !== undefined) {
        this.#lostLate(exchange, attempt, end);
        continue;
      }
      this.#lost(exchange, attempt, end);
      this.#compare?.settle(exchange);
      this.step(exchange);
    }
  }

  /** The client has its answer; only who compares wants to know. */
  #lostLate(exchange: Exchange<Request, Reply>, attempt: Attempt<Reply>, end: ServerEnd): void {
    if (attempt.outcome.kind !== "pending") return;
    attempt.outcome = { kind: "failed", failure: "broken", detail: end.detail ?? end.reason };
    this.#compare?.settle(exchange);
  }

  #lost(exchange: Exchange<Request, Reply>, attempt: Attempt<Reply>, end: ServerEnd): void {
    const { version } = end;
    // A version that has no say any more is forgotten by the step that follows.
    if (!this.#answering().has(version)) return;
    const counts = this.#shared.countsOf(version);
    const after = afterLoss(exchange, attempt, end, this.#shared.limits, this.#connection.now());
    if (after.kind === "again") {
      counts.retried += 1;
      attempt.cancelRetry = this.#connection.after(after.pauseMs, () => this.#sendAgain(exchange, version));
      return;
    }
    attempt.outcome = after.outcome;
    counts.failed += 1;
    counts.lastFailure = end.detail ?? end.reason;
  }

  #sendAgain(exchange: Exchange<Request, Reply>, version: number): void {
    if (exchange.answer !== undefined) return;
    try {
      this.#send(exchange, version);
    } catch (error) {
      this.#fail(exchange, "internal", `the proxy's code failed: ${messageOf(error)}`);
      this.#answered();
    }
  }

  #expire(exchange: Exchange<Request, Reply>): void {
    if (exchange.answer !== undefined) return;
    exchange.expired = true;
    for (const [version, attempt] of exchange.attempts) {
      if (attempt.outcome.kind !== "pending") continue;
      attempt.cancelRetry?.();
      attempt.outcome = {
        kind: "failed",
        failure: "late",
        detail: `version ${version} did not answer in time`,
      };
      this.#shared.countsOf(version).failed += 1;
    }
    this.#compare?.settle(exchange);
    this.step(exchange);
    if (exchange.answer === undefined)
      this.#fail(exchange, "late", "the request waited too long for its turn");
    // Replies come in order: a connection that owes a late one is of no use to those behind.
    for (const [version, line] of this.#lines.entries()) {
      if (line.waiting.includes(exchange)) this.#loseLine(brokenEnd(version, "a reply is late"));
    }
    this.#answered();
  }

  #fail(exchange: Exchange<Request, Reply>, failure: FailureKind, detail: string): void {
    const { framing } = this.#shared.options;
    const words = (): Reply | undefined => framing.failure(failure, detail, exchange.request as Request);
    this.#answer(exchange, answerOf(words, exchange.oneWay));
  }

  /** The policy's answer. */
  #reply(exchange: Exchange<Request, Reply>, reply: Reply): void {
    const { classified, request } = exchange;
    const isKept = classified.kind === "session" && this.#shared.isSuccess(reply, request as Request);
    // Before it is kept: a connection that this opens must not get it twice.
    this.#shadow?.copy(exchange, reply);
    if (isKept && !this.#lines.remember(exchange)) {
      return this.#fail(exchange, "internal", "the request is too large to be kept for the session");
    }
    this.#answer(exchange, { kind: "reply", reply });
  }

  #answer(exchange: Exchange<Request, Reply>, answer: Answer<Reply>): void {
    exchange.answer = answer;
    exchange.cancelDeadline?.();
    for (const attempt of exchange.attempts.values()) {
      attempt.cancelRetry?.();
      // It waited for its next try, which does not come now.
      if (attempt.cancelRetry === undefined || attempt.outcome.kind !== "pending") continue;
      attempt.outcome = { kind: "failed", failure: "unavailable", detail: "it was not sent again" };
      this.#compare?.settle(exchange);
    }
    exchange.releaseKey?.();
  }
}
