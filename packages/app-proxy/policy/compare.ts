/**
 * Compares the replies of two versions, wherever both are at hand: of a shadow's copy with what the client got, and of
 * versions that are asked at the same time. It changes nothing of where requests go and what clients get.
 */
import type { CompareRules } from "../compare/rules.ts";
import { compileRules } from "../compare/rules.ts";
import type { ComparisonReport } from "../compare/contract.ts";
import { CompareEngine, type Side } from "../compare/engine.ts";
import { sampleNumbers } from "../compare/reservoir.ts";
import { DEFAULT_SAMPLE_OPTIONS, type SampleOptions } from "../compare/sample.ts";
import type { ComparableValue } from "../compare/value.ts";
import type { FramedProxyOptions } from "./options.ts";

export interface CompareOptions<Request, Reply> extends CompareRules, Partial<SampleOptions> {
  /** Which requests are compared. Default: all. */
  readonly wants?: (request: Request) => boolean;
  /** Of those, the share that is compared; 0…1, default 1. Comparing costs about what parsing both replies costs. */
  readonly share?: number;
  /**
   * Of the reads that are compared, the share that the older version is asked a second time, to learn what differs by
   * chance; 0…1, default 0.1, and 1 until 100 were. Such a read waits behind the client's own requests, and delays the
   * next one by the time that it takes. At 0 nothing is learned.
   */
  readonly controlShare?: number;
  /** What is compared of a reply, as the client would get it. Default: what the framing says, or its bytes. */
  readonly comparable?: (reply: Reply, request: Request) => ComparableValue;
  /** The request in the samples, for people; no secrets. Default: what the framing says. */
  readonly describe?: (request: Request) => string;
  /** Of the intervals; above 0 and below 1, default 0.95. */
  readonly confidence?: number;
}

/** What one version made of a request: its reply, or why there is none. */
export type Fate<Reply> = { readonly reply: Reply } | { readonly lost: string };

/** Controls after which `controlShare` holds. */
const FIRST_CONTROLS = 100;
/** Pairs of versions that are kept apart; the oldest is forgotten. */
const PAIRS_MAX = 8;

export class Comparisons<Request, Reply> {
  readonly #options: FramedProxyOptions<Request, Reply>;
  readonly #compare: CompareOptions<Request, Reply>;
  readonly #rules: ReturnType<typeof compileRules>;
  readonly #random = sampleNumbers();
  readonly #engines = new Map<string, CompareEngine>();

  constructor(options: FramedProxyOptions<Request, Reply>, compare: CompareOptions<Request, Reply>) {
    this.#options = options;
    this.#compare = compare;
    this.#rules = compileRules(compare);
  }

  /** The application's function may throw; then the request is not compared. */
  wants(request: Request): boolean {
    const { share = 1, wants } = this.#compare;
    try {
      if (wants?.(request) === false) return false;
    } catch {
      return false;
    }
    return share >= 1 || this.#random() < share;
  }

  /** Whether the older version is to be asked once more, to learn what differs by chance. */
  wantsControl(baseline: number): boolean {
    const { controlShare = 0.1 } = this.#compare;
    if (controlShare <= 0) return false;
    const engine = this.#of(baseline)[0];
    return engine === undefined || engine.controls < FIRST_CONTROLS || this.#random() < controlShare;
  }

  /** Returns whether they differ by more than is known as noise. */
  pair(
    request: Request,
    baseline: { readonly version: number; readonly fate: Fate<Reply> },
    candidate: { readonly version: number; readonly fate: Fate<Reply> },
    atMs: number,
  ): boolean {
    const engine = this.#engine(baseline.version, candidate.version);
    const left = this.#sideOf(baseline.fate, request);
    const right = this.#sideOf(candidate.fate, request);
    if (left !== undefined && right !== undefined) {
      return engine.pair(left, right, () => this.#describe(request), atMs).length > 0;
    }
    engine.drop();
    return false;
  }

  drop(baseline: number, candidate: number): void {
    this.#engine(baseline, candidate).drop();
  }

  /** Two replies of one version to one read. */
  control(baseline: number, request: Request, fates: readonly [Fate<Reply>, Fate<Reply>], atRandom: boolean) {
    const [first, second] = fates.map((fate) => this.#sideOf(fate, request));
    if (first === undefined || second === undefined) return;
    for (const engine of this.#of(baseline)) engine.control(first, second, atRandom);
  }

  reports(): readonly ComparisonReport[] {
    return [...this.#engines.values()].map((engine) => engine.report());
  }

  #of(baseline: number): readonly CompareEngine[] {
    return [...this.#engines.values()].filter((engine) => engine.baseline === baseline);
  }

  #engine(baseline: number, candidate: number): CompareEngine {
    const key = `${baseline} ${candidate}`;
    const known = this.#engines.get(key);
    if (known !== undefined) return known;
    const [oldest] = this.#engines.keys();
    if (this.#engines.size >= PAIRS_MAX && oldest !== undefined) this.#engines.delete(oldest);
    const { confidence = 0.95, secret, valueCharactersMax } = this.#compare;
    const engine = new CompareEngine({
      baseline,
      candidate,
      confidence,
      rules: this.#rules,
      random: this.#random,
      samples: {
        secret: secret ?? DEFAULT_SAMPLE_OPTIONS.secret,
        valueCharactersMax: valueCharactersMax ?? DEFAULT_SAMPLE_OPTIONS.valueCharactersMax,
      },
    });
    this.#engines.set(key, engine);
    return engine;
  }

  /** Undefined when the application's own code throws. */
  #sideOf(fate: Fate<Reply>, request: Request): Side | undefined {
    if ("lost" in fate) return { kind: "missing", detail: fate.lost };
    const { framing, isSuccess } = this.#options;
    try {
      const success = (isSuccess ?? framing.isSuccess)?.(fate.reply, request) ?? true;
      return { kind: "replied", success, value: this.#valueOf(fate.reply, request) };
    } catch {
      return undefined;
    }
  }

  #valueOf(reply: Reply, request: Request): ComparableValue {
    const { framing } = this.#options;
    const comparable = this.#compare.comparable ?? framing.comparable;
    if (comparable !== undefined) return comparable(reply, request);
    if (typeof reply === "string" || reply instanceof Uint8Array) return reply;
    return Buffer.concat([...framing.encodeReply(reply, request, false)]);
  }

  #describe(request: Request): string {
    const describe = this.#compare.describe ?? this.#options.framing.describe;
    try {
      return describe?.(request) ?? "";
    } catch {
      return "";
    }
  }
}
