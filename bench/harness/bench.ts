/**
 * What a bench is, and what it hands back. `bench/NAME/index.ts` exports one as `bench`; `../main.ts` finds it there.
 */

/** Over all rounds, in the measure's unit. */
export interface Summary {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** One measure of every contender. A contender that cannot do the job has no value. */
export interface Row {
  readonly measure: string;
  readonly unit: string;
  readonly better: "higher" | "lower";
  readonly values: Readonly<Record<string, Summary>>;
}

/** What `--json` prints as its last line, exactly these fields. */
export interface Result {
  readonly question: string;
  readonly rounds: number;
  readonly rows: readonly Row[];
}

export interface BenchOptions {
  /** The smallest size that still answers: ends within a minute. */
  readonly quick: boolean;
  /** Rounds asked for; undefined: the bench's own number. */
  readonly rounds: number | undefined;
  /** Aborted by SIGINT and SIGTERM; a bench then cleans up and throws. */
  readonly signal: AbortSignal;
  /** Progress, one line. */
  readonly say: (line: string) => void;
}

export interface Plot {
  /** File name within the directory of plots, `router.svg`. */
  readonly file: string;
  readonly svg: string;
}

export interface Report {
  readonly result: Result;
  /** The table for people, with what it takes to read it. */
  readonly text: string;
  readonly plots: readonly Plot[];
}

export interface Bench {
  readonly question: string;
  /** Throws an Error whose message says what to do next. Leaves nothing behind, also when it throws. */
  run(options: BenchOptions): Promise<Report>;
}
