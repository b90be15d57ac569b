/** Rounds in which every contender has its turn at every probe, so that a slow minute of the machine strikes all alike. */
import type { BenchOptions, Row } from "./bench.ts";
import { summarize } from "./statistics.ts";

export interface Measure {
  readonly measure: string;
  readonly unit: string;
  readonly better: "higher" | "lower";
}

/** One run of a program that gives the values of one or several measures. */
export interface Probe<C> {
  readonly name: string;
  readonly measures: readonly Measure[];
  /** False for a contender that cannot do this job. */
  fits(contender: C): boolean;
  /** One value per measure, in their order. */
  run(contender: C, signal: AbortSignal): Promise<readonly number[]>;
}

export interface Contender {
  readonly name: string;
}

/** A program may fail once for reasons of its own (a port not yet free); twice in a row is a finding. */
const ATTEMPTS = 2;

/** Runs all probes with all contenders, `rounds` times. Throws when a probe fails twice in a row. */
export async function runRounds<C extends Contender>(
  contenders: readonly C[],
  probes: readonly Probe<C>[],
  rounds: number,
  options: Pick<BenchOptions, "signal" | "say">,
): Promise<readonly Row[]> {
  const samples = new Map<string, number[]>();
  for (let round = 0; round < rounds; round += 1) {
    for (const probe of probes) {
      options.say(`round ${round + 1}/${rounds}: ${probe.name}`);
      for (const contender of turns(contenders, round).filter((one) => probe.fits(one))) {
        const values = await attempt(probe, contender, options.signal);
        for (const [index, value] of values.entries()) {
          const key = sampleKey(probe.measures[index], contender);
          samples.set(key, [...(samples.get(key) ?? []), value]);
        }
      }
    }
  }
  return probes.flatMap((probe) => probe.measures).map((measure) => toRow(measure, contenders, samples));
}

/** Another one begins each round, so that none profits from its place. */
function turns<C>(contenders: readonly C[], round: number): readonly C[] {
  const first = round % Math.max(1, contenders.length);
  return [...contenders.slice(first), ...contenders.slice(0, first)];
}

async function attempt<C extends Contender>(
  probe: Probe<C>,
  contender: C,
  signal: AbortSignal,
): Promise<readonly number[]> {
  for (let attempted = 1; ; attempted += 1) {
    signal.throwIfAborted();
    try {
      return await probe.run(contender, signal);
    } catch (error) {
      signal.throwIfAborted();
      if (attempted === ATTEMPTS) {
        throw new Error(`"${probe.name}" of ${contender.name} failed: ${message(error)}`, { cause: error });
      }
    }
  }
}

function message(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function sampleKey(measure: Measure | undefined, contender: Contender): string {
  if (measure === undefined) throw new RangeError("A probe gave more values than it has measures.");
  return `${contender.name}\n${measure.measure}`;
}

function toRow(
  measure: Measure,
  contenders: readonly Contender[],
  samples: ReadonlyMap<string, readonly number[]>,
): Row {
  const measured = contenders.flatMap((contender) => {
    const values = samples.get(sampleKey(measure, contender));
    return values === undefined ? [] : [[contender.name, summarize(values)] as const];
  });
  const { measure: name, unit, better } = measure;
  return { measure: name, unit, better, values: Object.fromEntries(measured) };
}
