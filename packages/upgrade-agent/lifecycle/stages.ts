/**
 * The stages of an upgrade on one node, as one table: what follows, how long it may take, how often it is tried
 * again. Pure data; the journal stores exactly these names. Source: DESIGN §4, after figure 11 of CMU-CS-05-190.
 */

export const stageNames = [
  "discovered",
  "verified",
  "scheduled",
  "downloading",
  "downloaded",
  "preparing-disk",
  "creating-domain",
  "booting",
  "copying",
  "configuring",
  "starting",
  "healthy",
  "attached",
  "migrating",
  "caught-up",
  "running",
  "draining",
  "retired",
  "failed",
] as const;

export type Stage = (typeof stageNames)[number];

/** Stages in which the agent has work to do; the others are rest. */
export type WorkingStage = Exclude<Stage, "running" | "retired" | "failed">;

interface StageRule {
  readonly next: Stage;
  /** The whole stage, all attempts together, milliseconds. */
  readonly deadlineMs: number;
  /** How often the work may be started, at least 1. */
  readonly attemptsMax: number;
}

const minuteMs = 60_000;

/** Deadlines are for emulated machines on a busy host: five times and more of what was measured. */
const rules: Readonly<Record<WorkingStage, StageRule>> = {
  discovered: { next: "verified", deadlineMs: minuteMs, attemptsMax: 8 },
  verified: { next: "scheduled", deadlineMs: minuteMs, attemptsMax: 1 },
  scheduled: { next: "downloading", deadlineMs: Number.POSITIVE_INFINITY, attemptsMax: 1 },
  downloading: { next: "downloaded", deadlineMs: 60 * minuteMs, attemptsMax: 10 },
  downloaded: { next: "preparing-disk", deadlineMs: minuteMs, attemptsMax: 1 },
  "preparing-disk": { next: "creating-domain", deadlineMs: 30 * minuteMs, attemptsMax: 3 },
  "creating-domain": { next: "booting", deadlineMs: 3 * minuteMs, attemptsMax: 3 },
  booting: { next: "copying", deadlineMs: 15 * minuteMs, attemptsMax: 1 },
  copying: { next: "configuring", deadlineMs: 30 * minuteMs, attemptsMax: 5 },
  configuring: { next: "starting", deadlineMs: 10 * minuteMs, attemptsMax: 3 },
  starting: { next: "healthy", deadlineMs: 10 * minuteMs, attemptsMax: 2 },
  healthy: { next: "attached", deadlineMs: 2 * minuteMs, attemptsMax: 3 },
  attached: { next: "migrating", deadlineMs: 20 * minuteMs, attemptsMax: 2 },
  migrating: { next: "caught-up", deadlineMs: 60 * minuteMs, attemptsMax: 3 },
  "caught-up": { next: "running", deadlineMs: 2 * minuteMs, attemptsMax: 3 },
  draining: { next: "retired", deadlineMs: 20 * minuteMs, attemptsMax: 10 },
};

/** The rule of a stage, or undefined for a stage of rest. */
export function ruleOf(stage: Stage): StageRule | undefined {
  return (rules as Partial<Record<Stage, StageRule>>)[stage];
}

/** True from `from` up to and including `to`, in the order of the table. */
export function isBetween(stage: Stage, from: Stage, to: Stage): boolean {
  const position = stageNames.indexOf(stage);
  return position >= stageNames.indexOf(from) && position <= stageNames.indexOf(to);
}

/** The version answers clients, alone or through the proxy. */
export function servesClients(stage: Stage): boolean {
  return isBetween(stage, "attached", "running");
}

/** The release lies complete and verified on this node, so this node may advertise and give it. */
export function isComplete(stage: Stage): boolean {
  return isBetween(stage, "downloaded", "running");
}
