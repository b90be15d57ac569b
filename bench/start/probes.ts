/** What is measured, and how passages of domains become values. Pure but for asking the node. */
import type { Measure, Probe } from "../harness/index.ts";
import { MARKS } from "./contract.ts";
import type { Answer, Mark, Passage, Way, Work } from "./contract.ts";

export interface Contender {
  readonly name: Way;
}

export type Perform = (work: Work, signal: AbortSignal) => Promise<Extract<Answer, { ok: true }>>;

/** Marks that are told for every number of domains, with their words. */
const TOLD = { running: "running", ssh: "SSH answers", answered: "service answers" } as const;

/** The parts of one domain's way: each ends with its mark. */
const PARTS: Readonly<Record<Mark, string>> = {
  disk: "disk",
  link: "link",
  running: "create",
  port: "boot",
  ssh: "SSH handshake",
  copied: "copy",
  started: "start",
  answered: "answer",
};

export const measureNames = {
  disk: (count: number) => `disk alone, ${count} at once`,
  until: (mark: keyof typeof TOLD, count: number) => `${TOLD[mark]}, ${count} at once`,
  part: (mark: Mark) => `part: ${PARTS[mark]}`,
} as const;

const inMs = (measure: string): Measure => ({ measure, unit: "ms", better: "lower" });

/** With one domain the parts of its way are told as well. */
export function probesOf(perform: Perform, counts: readonly number[]): readonly Probe<Contender>[] {
  return counts.flatMap((count) => [diskProbe(perform, count), domainProbe(perform, count)]);
}

function diskProbe(perform: Perform, count: number): Probe<Contender> {
  return {
    name: `disk, ${count} at once`,
    measures: [inMs(measureNames.disk(count))],
    fits: () => true,
    run: async ({ name }, signal) => {
      const answer = await perform({ kind: "disks", way: name, count }, signal);
      if (answer.kind !== "disks") throw new Error("The worker answered something else.");
      return [answer.allMs];
    },
  };
}

function domainProbe(perform: Perform, count: number): Probe<Contender> {
  const told = Object.keys(TOLD) as readonly (keyof typeof TOLD)[];
  const parts = count === 1 ? MARKS : [];
  return {
    name: `service, ${count} at once`,
    measures: [
      ...told.map((mark) => inMs(measureNames.until(mark, count))),
      ...parts.map((mark) => inMs(measureNames.part(mark))),
    ],
    fits: () => true,
    run: async ({ name }, signal) => {
      const answer = await perform({ kind: "domains", way: name, count }, signal);
      if (answer.kind !== "domains") throw new Error("The worker answered something else.");
      const { passages } = answer;
      return [
        ...told.map((mark) => untilLast(passages, mark)),
        ...parts.map((mark) => partOf(passages[0], mark)),
      ];
    },
  };
}

/** Milliseconds until the last of them passed the mark. */
export function untilLast(passages: readonly Passage[], mark: Mark): number {
  return Math.max(...passages.map((passage) => passage[mark]));
}

/** Milliseconds between a mark and the one before it. */
export function partOf(passage: Passage | undefined, mark: Mark): number {
  if (passage === undefined) throw new RangeError("There is no passage.");
  const before = MARKS[MARKS.indexOf(mark) - 1];
  return passage[mark] - (before === undefined ? 0 : passage[before]);
}
