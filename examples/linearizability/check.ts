/**
 * Whether a history of registers is linearizable: whether each operation can be given one moment between its beginning
 * and its answer such that a single register, doing them in that order, gives these answers.
 *
 * The search is Wing & Gong's (1993): take an operation that no other precedes, see whether the register would have
 * answered so, go on with the rest, go back when nothing fits. As Lowe (2017) found, what makes it quick in practice is to
 * remember the situations that led nowhere, which are the set of operations done and the register's state; and that
 * keys are independent of each other (Herlihy & Wing 1990), so that each is searched alone.
 */
import { byKey, type Operation, type Value } from "./history.ts";
import { after, isLost, rowsBefore, type Lost } from "./register.ts";

export interface CheckOptions {
  /** What every key holds before the history. Default null. */
  readonly initial?: Value;
  /** Situations looked at per key before the search is given up. Default 1,000,000, about 200 MB. */
  readonly situationsMax?: number;
}

/** `undecided`: the search was given up. */
export type Verdict = "linearizable" | "not-linearizable" | "undecided";

export interface KeyVerdict {
  readonly key: string;
  readonly verdict: Verdict;
  readonly situations: number;
  /** The operation at which the longest order that could be found ends; absent when all fit. */
  readonly stuckAt?: Operation;
}

export interface Check {
  /** `not-linearizable` when one key is, else `undecided` when one key is. */
  readonly verdict: Verdict;
  readonly keys: number;
  readonly operations: number;
  readonly situations: number;
  /** Keys that are not linearizable, or undecided. */
  readonly faults: readonly KeyVerdict[];
}

const SITUATIONS_MAX = 1_000_000;

export function check(history: readonly Operation[], options: CheckOptions = {}): Check {
  const verdicts = Array.from(byKey(history), ([key, operations]) => checkKey(key, operations, options));
  const faults = verdicts.filter(({ verdict }) => verdict !== "linearizable");
  const wrong = faults.find(({ verdict }) => verdict === "not-linearizable");
  return {
    verdict: (wrong ?? faults[0])?.verdict ?? "linearizable",
    keys: verdicts.length,
    operations: history.length,
    situations: verdicts.reduce((sum, { situations }) => sum + situations, 0),
    faults,
  };
}

function checkKey(key: string, all: readonly Operation[], options: CheckOptions): KeyVerdict {
  const { initial = null, situationsMax = SITUATIONS_MAX } = options;
  const search = new Search(all, initial);
  while (search.situations < situationsMax) {
    const verdict = search.step();
    if (verdict === undefined) continue;
    const { situations, stuckAt } = search;
    return {
      key,
      verdict,
      situations,
      ...(verdict === "linearizable" || stuckAt === undefined ? {} : { stuckAt }),
    };
  }
  return { key, verdict: "undecided", situations: search.situations };
}

/** What may be done next: an answered operation, and the lost ones right before it that its answer needs. */
interface Next {
  readonly row: readonly Operation[];
  readonly state: Value;
}

/** What was done, and how to go on when that turns out wrong. */
interface Choice extends Next {
  readonly stateBefore: Value;
  readonly firstBefore: number;
  /** What else could have been done in its place. */
  readonly others: Next[];
}

class Search {
  /** In the order of their beginnings. */
  readonly #answered: readonly Operation[];
  readonly #lost: readonly Lost[];
  readonly #done = new Set<Operation>();
  /** All answered ones before it are done. */
  #first = 0;
  #furthest = 0;
  #state: Value;
  readonly #path: Choice[] = [];
  readonly #seen = new Set<string>();

  constructor(operations: readonly Operation[], initial: Value) {
    this.#answered = operations.filter(({ endedAt }) => endedAt !== undefined);
    this.#lost = operations.filter(isLost);
    this.#state = initial;
  }

  get situations(): number {
    return this.#seen.size;
  }

  get stuckAt(): Operation | undefined {
    return this.#answered[this.#furthest];
  }

  /** Does one operation more, or goes back and does another; the verdict once there is one. */
  step(): Verdict | undefined {
    if (this.#first === this.#answered.length) return "linearizable";
    let others = this.#candidates();
    for (;;) {
      const next = others.pop();
      if (next !== undefined) {
        if (this.#take(next, others)) return undefined;
        continue;
      }
      const wrong = this.#path.pop();
      if (wrong === undefined) return "not-linearizable";
      this.#undo(wrong);
      others = wrong.others;
    }
  }

  /** What was begun before the first answer of those that are left and fits. The likeliest is last. */
  #candidates(): Next[] {
    const { operations, firstAnswerAt } = this.#window();
    const left = (operation: Operation): boolean =>
      operation.begunAt <= firstAnswerAt && !this.#done.has(operation);
    const lost = this.#lost.filter(left);
    // Who was answered first was most likely done first; what was never answered is done only if nothing else fits.
    const answered = operations.filter(left).sort((one, other) => endOf(other) - endOf(one));
    return [
      ...answered.flatMap((operation) => this.#afterLost(operation, lost)),
      ...answered.flatMap((operation) => {
        const fits = after(this.#state, operation.action);
        return fits === undefined ? [] : [{ row: [operation], state: fits.state }];
      }),
    ];
  }

  #afterLost(operation: Operation, lost: readonly Lost[]): Next[] {
    const { action } = operation;
    if (lost.length === 0 || after(this.#state, action) !== undefined) return [];
    return [...rowsBefore(this.#state, action, lost)].flatMap((row) => {
      const fits = after(row.at(-1)?.action.value ?? null, action);
      return fits === undefined ? [] : [{ row: [...row, operation], state: fits.state }];
    });
  }

  /** The answered operations from the first that is left to the last that may be done before it. */
  #window(): { readonly operations: readonly Operation[]; readonly firstAnswerAt: number } {
    let firstAnswerAt = Infinity;
    let end = this.#first;
    for (; end < this.#answered.length; end += 1) {
      const operation = this.#answered[end] as Operation;
      if (operation.begunAt > firstAnswerAt) break;
      if (!this.#done.has(operation)) firstAnswerAt = Math.min(firstAnswerAt, endOf(operation));
    }
    return { operations: this.#answered.slice(this.#first, end), firstAnswerAt };
  }

  /** Returns false when it leads to where the search has been. */
  #take(next: Next, others: Next[]): boolean {
    const choice: Choice = { ...next, stateBefore: this.#state, firstBefore: this.#first, others };
    for (const operation of next.row) this.#done.add(operation);
    while (this.#done.has(this.#answered[this.#first] as Operation)) this.#first += 1;
    this.#state = next.state;
    const situation = this.#situation();
    if (this.#seen.has(situation)) {
      this.#undo(choice);
      return false;
    }
    this.#seen.add(situation);
    this.#path.push(choice);
    this.#furthest = Math.max(this.#furthest, this.#first);
    return true;
  }

  #undo({ row, stateBefore, firstBefore }: Choice): void {
    for (const operation of row) this.#done.delete(operation);
    this.#first = firstBefore;
    this.#state = stateBefore;
  }

  /** Which operations are done, told shortly: almost all answered ones are so in the order of their beginnings. */
  #situation(): string {
    const { operations } = this.#window();
    const ahead = operations.map((operation) => (this.#done.has(operation) ? "1" : "0")).join("");
    const lost = this.#lost.flatMap((operation, index) => (this.#done.has(operation) ? [index] : []));
    const state = this.#state === null ? "" : `=${this.#state}`;
    return `${this.#first} ${ahead.replace(/0+$/, "")} ${lost.join(",")} ${state}`;
  }
}

function endOf({ endedAt = Infinity }: Operation): number {
  return endedAt;
}
