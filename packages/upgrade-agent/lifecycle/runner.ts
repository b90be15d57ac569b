/** Drives the life cycle: hands events and the clock to the pure core, does the work, keeps the journal. */
import { CodedError } from "@version-manager/version-router";
import { AgentError } from "../errors.ts";
import {
  type Effect,
  type Fault,
  type LifecycleEvent,
  newUpgrade,
  started,
  step,
  type Upgrade,
} from "./machine.ts";
import type { Stage, WorkingStage } from "./stages.ts";
import type { Work, WorkContext } from "./works/context.ts";

interface Running {
  readonly controller: AbortController;
  readonly ended: Promise<void>;
}

/** Faults that another try of the same thing cannot mend. */
const permanentCodes: ReadonlySet<string> = new Set([
  "E_SIGNATURE",
  "E_RELEASE_UNSIGNED",
  "E_RELEASE_ALTERED",
  "E_TORRENT_MISMATCH",
  "E_NOT_A_RELEASE",
  "E_MANIFEST",
  "E_NO_BASE_IMAGE",
  "E_TOO_LARGE",
]);

export interface RunnerOptions {
  readonly context: WorkContext;
  readonly works: Readonly<Record<WorkingStage, Work>>;
  readonly cleanUp: (context: WorkContext, upgrade: Upgrade) => Promise<void>;
  readonly now: () => number;
  /** Called after every change of state. */
  readonly onChange: (upgrade: Upgrade) => void;
}

const tickMs = 250;
/** A clean-up that fails is tried again after this time. */
const cleanUpRetryMs = 5_000;

export class Runner {
  readonly #options: RunnerOptions;
  readonly #running = new Map<string, Running>();
  readonly #cleaning = new Map<string, number>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: RunnerOptions) {
    this.#options = options;
  }

  /** Goes on with whatever the journal says was under way. */
  start(): void {
    this.#timer = setInterval(() => this.#tick(), tickMs);
    this.#tick();
  }

  /** Stops the works; the journal keeps their stages, and `start` of a later agent resumes them. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#timer = undefined;
    const works = [...this.#running.values()];
    for (const work of works) work.controller.abort();
    await Promise.all(works.map((work) => work.ended));
  }

  /** A version enters the journal; one that is there already is returned as it is. */
  begin(key: Pick<Upgrade, "service" | "version" | "source" | "learnedBy">, stage: Stage): Upgrade {
    const { journal } = this.#options.context;
    const known = journal.upgrade(key.service, key.version);
    if (known !== undefined) return known;
    const upgrade = newUpgrade(key, stage, this.#options.now());
    journal.save(upgrade);
    this.#options.onChange(upgrade);
    this.send(upgrade, { type: "tick" });
    return upgrade;
  }

  /** Throws E_NO_VERSION when the journal does not know the version. */
  send({ service, version }: Pick<Upgrade, "service" | "version">, event: LifecycleEvent): Upgrade {
    const { journal } = this.#options.context;
    const before = journal.upgrade(service, version);
    if (before === undefined) {
      throw new AgentError(
        "E_NO_VERSION",
        `This node knows no ${service} ${version}; see 'vm-upgrade versions'.`,
      );
    }
    const { upgrade, effects } = step(before, event, this.#options.now());
    if (JSON.stringify(upgrade) !== JSON.stringify(before)) {
      journal.save(upgrade);
      this.#options.onChange(upgrade);
    }
    for (const effect of effects) this.#perform(upgrade, effect);
    return upgrade;
  }

  #tick(): void {
    for (const upgrade of this.#options.context.journal.upgrades()) this.send(upgrade, { type: "tick" });
  }

  #perform(upgrade: Upgrade, effect: Effect): void {
    const key = `${upgrade.service} ${upgrade.version}`;
    switch (effect.type) {
      case "work":
        if (!this.#running.has(key) && this.#timer !== undefined) this.#work(key, upgrade, effect.stage);
        return;
      case "cancel":
        this.#running.get(key)?.controller.abort();
        return;
      case "forget":
        this.#options.context.journal.forget(upgrade.service, upgrade.version);
        return;
      case "clean-up":
        void this.#cleanUp(key, upgrade);
    }
  }

  #work(key: string, upgrade: Upgrade, stage: WorkingStage): void {
    const controller = new AbortController();
    this.#options.context.journal.save(started(upgrade));
    this.#running.set(key, { controller, ended: this.#finish(key, upgrade, stage, controller.signal) });
  }

  async #finish(key: string, upgrade: Upgrade, stage: WorkingStage, signal: AbortSignal): Promise<void> {
    const { context, works } = this.#options;
    let event: LifecycleEvent = { type: "done" };
    try {
      await works[stage](context, upgrade, signal);
    } catch (error) {
      event = failureOf(error);
    }
    this.#running.delete(key);
    if (signal.aborted) return;
    if (event.type === "failed") context.note(upgrade, "agent", `${stage}: ${event.fault.message}`);
    this.send(upgrade, event);
  }

  async #cleanUp(key: string, upgrade: Upgrade): Promise<void> {
    const { context, now } = this.#options;
    if ((this.#cleaning.get(key) ?? 0) > now()) return;
    this.#cleaning.set(key, Number.POSITIVE_INFINITY);
    try {
      await this.#running.get(key)?.ended;
      await this.#options.cleanUp(context, upgrade);
      this.#cleaning.delete(key);
      this.send(upgrade, { type: "cleaned" });
    } catch (error) {
      context.note(upgrade, "agent", `clean-up: ${(error as Error).message}`);
      this.#cleaning.set(key, now() + cleanUpRetryMs);
    }
  }
}

function failureOf(error: unknown): LifecycleEvent & { type: "failed" } {
  const code = error instanceof CodedError ? String(error.code) : "E_INTERNAL";
  const message = error instanceof Error ? error.message : String(error);
  const fault: Fault = { code, message };
  return { type: "failed", fault, permanent: permanentCodes.has(code) };
}
