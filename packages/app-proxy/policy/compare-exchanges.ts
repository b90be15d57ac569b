/** The comparing of one client connection: which replies belong together, and the second reads that teach what is noise. */
import type { Connection } from "../connection/contract.ts";
import type { VersionSet } from "../versions/version-set.ts";
import type { Comparisons, Fate } from "./compare.ts";
import { newExchange, outcomeOf, type Exchange } from "./exchange.ts";
import type { ServerLines } from "./server-lines.ts";
import type { SharedState } from "./shared-state.ts";

export interface CompareContext<Request, Reply> {
  readonly connection: Connection;
  readonly lines: ServerLines<Request, Reply>;
  readonly shared: SharedState<Request, Reply>;
}

/** Milliseconds that a second read may take; its reply is ignored when it comes later. */
const CONTROL_TIMEOUT_MS = 5_000;

export class CompareExchanges<Request, Reply> {
  readonly #comparisons: Comparisons<Request, Reply>;
  readonly #context: CompareContext<Request, Reply>;
  /** Exchanges that several versions were asked at once, with those versions, oldest first. */
  readonly #open = new Map<Exchange<Request, Reply>, readonly number[]>();
  /** Ends the wait for the second read that is under way. */
  #endControl: (() => void) | undefined;

  constructor(comparisons: Comparisons<Request, Reply>, context: CompareContext<Request, Reply>) {
    this.#comparisons = comparisons;
    this.#context = context;
  }

  wants(exchange: Exchange<Request, Reply>): boolean {
    return this.#comparisons.wants(exchange.request as Request);
  }

  /** The exchange goes to these versions at once. One that goes to an older version after a newer one is not compared. */
  sent(exchange: Exchange<Request, Reply>, versions: readonly number[]): void {
    if (versions.length < 2 || exchange.oneWay || !this.wants(exchange)) return;
    this.#open.set(
      exchange,
      [...versions].sort((left, right) => left - right),
    );
  }

  /** Something became of the exchange at a version. */
  settle(exchange: Exchange<Request, Reply>): void {
    const versions = this.#open.get(exchange);
    if (versions === undefined) return;
    if (versions.some((version) => exchange.attempts.get(version)?.outcome.kind === "pending")) return;
    this.#open.delete(exchange);
    const [baseline, ...candidates] = versions as [number, ...number[]];
    const fate = this.#fateAt(exchange, baseline);
    for (const candidate of candidates) {
      const other = this.#fateAt(exchange, candidate);
      if (fate === undefined || other === undefined) this.#comparisons.drop(baseline, candidate);
      else this.pair(exchange, { version: baseline, fate }, { version: candidate, fate: other });
    }
  }

  pair(
    exchange: Exchange<Request, Reply>,
    baseline: { readonly version: number; readonly fate: Fate<Reply> },
    candidate: { readonly version: number; readonly fate: Fate<Reply> },
  ): void {
    const now = this.#context.connection.now();
    const atRandom = this.#comparisons.wantsControl(baseline.version);
    const differ = this.#comparisons.pair(exchange.request as Request, baseline, candidate, now);
    // Asked again at once, the older version shows whether what differs there differs by chance.
    if ((atRandom || differ) && "reply" in baseline.fate) {
      this.#control(exchange, baseline.version, baseline.fate, atRandom);
    }
  }

  drop(baseline: number, candidate: number): void {
    this.#comparisons.drop(baseline, candidate);
  }

  /** Which version the answer came from. */
  baselineOf(exchange: Exchange<Request, Reply>, reply: Reply, answering: VersionSet): number | undefined {
    for (const [version, { outcome }] of exchange.attempts) {
      if (outcome.kind === "replied" && outcome.reply === reply) return version;
    }
    return answering.max;
  }

  /** Replies of versions that do not answer any more will not come. */
  onRolesChanged(answering: VersionSet): void {
    for (const [exchange, versions] of this.#open) {
      if (versions.every((version) => answering.has(version))) continue;
      for (const version of versions) if (!answering.has(version)) exchange.attempts.delete(version);
      this.settle(exchange);
    }
  }

  onClosed(): void {
    for (const [, [baseline, ...candidates]] of this.#open) {
      for (const candidate of candidates) this.#comparisons.drop(baseline as number, candidate);
    }
    this.#open.clear();
    this.#endControl?.();
  }

  #fateAt(exchange: Exchange<Request, Reply>, version: number): Fate<Reply> | undefined {
    const outcome = exchange.attempts.get(version)?.outcome;
    if (outcome?.kind === "replied") return { reply: outcome.reply };
    return outcome?.kind === "failed" ? { lost: outcome.detail } : undefined;
  }

  /** One at a time, and only what changes nothing. */
  #control(original: Exchange<Request, Reply>, version: number, first: Fate<Reply>, atRandom: boolean): void {
    const { connection, lines, shared } = this.#context;
    const request = original.request as Request;
    if (original.classified.kind !== "read" || this.#endControl !== undefined || connection.draining) return;
    const over = (reply: Reply | undefined): void => {
      if (this.#endControl !== end) return;
      this.#endControl = undefined;
      cancel();
      this.#comparisons.control(
        version,
        request,
        [first, this.#translated(reply, version, request)],
        atRandom,
      );
    };
    const end = (): void => over(undefined);
    const cancel = connection.after(CONTROL_TIMEOUT_MS, end);
    this.#endControl = end;
    const again = newExchange<Request, Reply>({
      ...original,
      done: () => undefined,
      whenCopied: over,
      onAnsweringLine: true,
    });
    again.answer = { kind: "nothing" };
    try {
      lines.send(lines.to(version), version, again);
      shared.countsOf(version).sent += 1;
    } catch {
      end();
    }
  }

  #translated(reply: Reply | undefined, version: number, request: Request): Fate<Reply> {
    if (reply === undefined) return { lost: "no reply" };
    const { transformReply } = this.#context.shared.options;
    const outcome = outcomeOf(() => transformReply?.(reply, version, request) ?? reply);
    return outcome.kind === "replied" ? { reply: outcome.reply } : { lost: "the proxy's code failed" };
  }
}
