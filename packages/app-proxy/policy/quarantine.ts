/**
 * Versions that are kept out because they fail what others do: one sick version is then no outage. What a quarantined
 * version missed it does not get later; it stays out until somebody who has seen to its data readmits it, or it is gone.
 */
import type { VersionSet } from "../versions/version-set.ts";
import type { Exchange, Attempt } from "./exchange.ts";

export interface QuarantineOptions {
  /**
   * Writes in a row that a version must fail while another succeeds. Default 3; those before the last fail, as in
   * `strict`. Fewer: one broken connection may cost a version. More: more failed writes before the others go on alone.
   */
  readonly afterFailures?: number;
  /**
   * Whether the oldest version is never kept out. Default true: until migration is over, only it has everything, and
   * without it reads would find less than was written.
   */
  readonly spareOldest?: boolean;
}

export interface Judgement<Reply> {
  readonly isSuccess: (reply: Reply) => boolean;
  readonly isFault: (reply: Reply) => boolean;
}

export interface Sick {
  readonly version: number;
  readonly detail: string;
}

export class Quarantine {
  readonly #options: Required<QuarantineOptions>;
  readonly #failures = new Map<number, number>();
  readonly #versions = new Set<number>();

  constructor(options: QuarantineOptions) {
    this.#options = { afterFailures: 3, spareOldest: true, ...options };
  }

  get size(): number {
    return this.#versions.size;
  }

  has(version: number): boolean {
    return this.#versions.has(version);
  }

  versions(): number[] {
    return [...this.#versions];
  }

  /** It was found sick before. */
  add(version: number): void {
    this.#versions.add(version);
  }

  /** Whether it was kept out. */
  readmit(version: number): boolean {
    this.#failures.delete(version);
    return this.#versions.delete(version);
  }

  /** Forgets versions that do not run any more. */
  keep(running: VersionSet): void {
    for (const version of this.#versions) if (!running.has(version)) this.readmit(version);
  }

  /**
   * Looks at a write once every version has done or failed it. Returns the versions that are kept out from now on;
   * `answering`: those that have a say, of which one at least stays.
   */
  judge<Request, Reply>(
    { attempts, scope }: Pick<Exchange<Request, Reply>, "attempts" | "scope">,
    { isFault, isSuccess }: Judgement<Reply>,
    answering: VersionSet,
  ): readonly Sick[] {
    const fates = [...(scope ?? [])].map((version) => ({
      version,
      fate: fateOf(attempts.get(version), isFault),
    }));
    const didIt = ({ version }: { readonly version: number }): boolean => {
      const outcome = attempts.get(version)?.outcome;
      return outcome?.kind === "replied" && isSuccess(outcome.reply);
    };
    // When nobody did it, it says nothing of anybody.
    if (!fates.some(didIt)) return [];
    return fates.flatMap(({ version, fate }) => {
      const failures = fate === undefined ? 0 : (this.#failures.get(version) ?? 0) + 1;
      this.#failures.set(version, failures);
      const spared = this.#options.spareOldest && version === answering.min;
      if (fate === undefined || failures < this.#options.afterFailures || spared) return [];
      this.#versions.add(version);
      return [{ version, detail: `${failures} writes in a row that others did; the last: ${fate}` }];
    });
  }
}

/** What went wrong at a version, undefined when nothing did. A fault of the application's translation is not its own. */
function fateOf<Reply>(
  attempt: Attempt<Reply> | undefined,
  isFault: (reply: Reply) => boolean,
): string | undefined {
  const outcome = attempt?.outcome;
  if (outcome?.kind === "failed") return outcome.failure === "internal" ? undefined : outcome.detail;
  return outcome?.kind === "replied" && isFault(outcome.reply)
    ? "it replied with a fault of its own"
    : undefined;
}
