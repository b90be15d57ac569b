/**
 * The life cycle of one version on one node. Pure: an event and the time go in, the new state and what to do come
 * out. The runner beside this file does it and keeps the journal.
 */
import { ruleOf, type Stage, type WorkingStage } from "./stages.ts";

export interface Fault {
  readonly code: string;
  readonly message: string;
}

/** One row of the journal. All times are milliseconds since the epoch. */
export interface Upgrade {
  readonly service: string;
  readonly version: number;
  readonly stage: Stage;
  readonly enteredAtMs: number;
  /** How often the work of this stage was started. */
  readonly attempt: number;
  /** Not before this time is the work tried again. */
  readonly retryAtMs: number;
  /** The last fault, also of an attempt that is tried again. */
  readonly fault?: Fault;
  /** Where the news came from: a service address, or `local` when it was seeded here. */
  readonly source: string;
  /** What told us. */
  readonly learnedBy: "seed" | "mark" | "exchange";
  /** What a failed or retired version left behind has been removed. */
  readonly cleaned: boolean;
}

export type LifecycleEvent =
  | { readonly type: "done" }
  | { readonly type: "failed"; readonly fault: Fault; readonly permanent: boolean }
  | { readonly type: "tick" }
  | { readonly type: "domain-lost" }
  /** It ended more often than its policy allows. */
  | { readonly type: "service-failed"; readonly fault: Fault }
  /** It was started again after that. */
  | { readonly type: "service-started" }
  | { readonly type: "retire" }
  | { readonly type: "retry" }
  | { readonly type: "cleaned" };

export type Effect =
  /** Start the work of this stage; its outcome comes back as `done` or `failed`. */
  | { readonly type: "work"; readonly stage: WorkingStage }
  /** Stop the work that runs. */
  | { readonly type: "cancel" }
  /** Drop the row: it was hearsay that did not prove true. */
  | { readonly type: "forget" }
  /** Remove domain, link and disk; the outcome comes back as `cleaned`. */
  | { readonly type: "clean-up" };

export interface Step {
  readonly upgrade: Upgrade;
  readonly effects: readonly Effect[];
}

/** The first try after a failure waits this long, each further one twice as long. */
const backoffFirstMs = 1_000;
const backoffMostMs = 30_000;

export function newUpgrade(
  key: Pick<Upgrade, "service" | "version" | "source" | "learnedBy">,
  stage: Stage,
  now: number,
): Upgrade {
  return { ...key, stage, enteredAtMs: now, attempt: 0, retryAtMs: now, cleaned: false };
}

export function step(upgrade: Upgrade, event: LifecycleEvent, now: number): Step {
  switch (event.type) {
    case "done":
      return finished(upgrade, now);
    case "failed":
      return faulted(upgrade, event.fault, event.permanent, now);
    case "tick":
      return ticked(upgrade, now);
    case "domain-lost":
      return domainLost(upgrade, now);
    case "service-failed":
      return serviceFailed(upgrade, event.fault, now);
    case "service-started":
      return serviceStarted(upgrade);
    case "retire":
      return upgrade.stage === "running" ? enter(upgrade, "draining", now) : stay(upgrade);
    case "retry":
      return upgrade.stage === "failed" && upgrade.cleaned ? restart(upgrade, now) : stay(upgrade);
    case "cleaned":
      return stay({ ...upgrade, cleaned: true });
  }
}

/** To be recorded when the work of a stage really starts, before it does. */
export function started(upgrade: Upgrade): Upgrade {
  return { ...upgrade, attempt: upgrade.attempt + 1 };
}

function stay(upgrade: Upgrade): Step {
  return { upgrade, effects: [] };
}

function enter(upgrade: Upgrade, stage: Stage, now: number): Step {
  const { fault: _forgotten, ...rest } = upgrade;
  const entered: Upgrade = { ...rest, stage, enteredAtMs: now, attempt: 0, retryAtMs: now };
  return ticked(entered, now);
}

function finished(upgrade: Upgrade, now: number): Step {
  const rule = ruleOf(upgrade.stage);
  return rule === undefined ? stay(upgrade) : enter(upgrade, rule.next, now);
}

/** A fault is tried again with growing pauses; when the attempts are used up, or it cannot mend itself, it ends. */
function faulted(upgrade: Upgrade, fault: Fault, permanent: boolean, now: number): Step {
  const rule = ruleOf(upgrade.stage);
  if (rule === undefined) return stay(upgrade);
  if (permanent || upgrade.attempt >= rule.attemptsMax) return fail(upgrade, fault, now);
  const pauseMs = Math.min(backoffMostMs, backoffFirstMs * 2 ** (upgrade.attempt - 1));
  return stay({ ...upgrade, fault, retryAtMs: now + pauseMs });
}

function fail(upgrade: Upgrade, fault: Fault, now: number): Step {
  // A retirement must not be given up: the old version would keep its domain for ever.
  if (upgrade.stage === "draining")
    return stay({ ...upgrade, fault, attempt: 1, retryAtMs: now + backoffMostMs });
  if (upgrade.stage === "discovered" && upgrade.learnedBy !== "seed") {
    return { upgrade, effects: [{ type: "cancel" }, { type: "forget" }] };
  }
  const failed: Upgrade = { ...upgrade, stage: "failed", enteredAtMs: now, fault, cleaned: false };
  return { upgrade: failed, effects: [{ type: "cancel" }, { type: "clean-up" }] };
}

/** Starts what is due. The runner ignores `work` while work of this version already runs. */
function ticked(upgrade: Upgrade, now: number): Step {
  if (upgrade.stage === "failed" || upgrade.stage === "retired") {
    return upgrade.cleaned ? stay(upgrade) : { upgrade, effects: [{ type: "clean-up" }] };
  }
  const rule = ruleOf(upgrade.stage);
  if (rule === undefined) return stay(upgrade);
  if (now - upgrade.enteredAtMs > rule.deadlineMs) {
    const cause = upgrade.fault === undefined ? "" : ` Last fault: ${upgrade.fault.message}`;
    const message = `Stage ${upgrade.stage} did not end within ${rule.deadlineMs / 1000} s.${cause}`;
    return fail(upgrade, { code: "E_DEADLINE", message }, now);
  }
  if (now < upgrade.retryAtMs) return stay(upgrade);
  return { upgrade, effects: [{ type: "work", stage: upgrade.stage as WorkingStage }] };
}

/** The domain is gone although we did not end it: it is made anew on its own disk, from the same release. */
function domainLost(upgrade: Upgrade, now: number): Step {
  const rebuilt: readonly Stage[] = ["booting", "copying", "configuring", "starting", "healthy", "attached"];
  const later: readonly Stage[] = ["migrating", "caught-up", "running"];
  if (![...rebuilt, ...later].includes(upgrade.stage)) return stay(upgrade);
  const again = enter(upgrade, "creating-domain", now);
  return { upgrade: again.upgrade, effects: [{ type: "cancel" }, ...again.effects] };
}

/**
 * Before it runs, a version whose service gives up is thrown away. One that runs is kept, with the fault: it may have
 * state that nobody else has, and what to do about it is for people to say.
 */
function serviceFailed(upgrade: Upgrade, fault: Fault, now: number): Step {
  if (upgrade.stage === "running") return stay({ ...upgrade, fault });
  const started: readonly Stage[] = ["starting", "healthy", "attached", "migrating", "caught-up"];
  return started.includes(upgrade.stage) ? fail(upgrade, fault, now) : stay(upgrade);
}

function serviceStarted(upgrade: Upgrade): Step {
  if (upgrade.stage !== "running" || upgrade.fault?.code !== "E_SERVICE_FAILED") return stay(upgrade);
  const { fault: _mended, ...rest } = upgrade;
  return stay(rest);
}

function restart(upgrade: Upgrade, now: number): Step {
  return enter({ ...upgrade, cleaned: false }, "discovered", now);
}
