/** What the agent makes of its versions' services: whom their failures concern, and what is shown of them. */
import type { VersionStatus } from "../api/contract.ts";
import type { Upgrade } from "../lifecycle/machine.ts";
import type { Runner } from "../lifecycle/runner.ts";
import type { WorkContext } from "../lifecycle/works/context.ts";
import { withSession } from "../lifecycle/works/session.ts";
import { startAgain } from "../lifecycle/works/software.ts";
import type { ServiceState } from "../service/state.ts";
import { ServiceWatch } from "./service-watch.ts";

type Version = Pick<Upgrade, "service" | "version">;

export interface ServicesParts {
  readonly context: WorkContext;
  readonly runner: Pick<Runner, "send">;
  readonly now: () => number;
  readonly log: (line: string) => void;
  readonly signal: AbortSignal;
}

export class Services {
  readonly #parts: ServicesParts;
  readonly #watch: ServiceWatch;

  constructor(parts: ServicesParts) {
    const { context, now, log } = parts;
    this.#parts = parts;
    this.#watch = new ServiceWatch({
      said: context.journal.said,
      withSession: (version, signal, use) => withSession(context, version, signal, use),
      now,
      log,
      note: ({ service, version }, source, text) => {
        const upgrade = context.journal.upgrade(service, version);
        if (upgrade !== undefined) context.note(upgrade, source, text);
      },
      changed: (version, state) => this.#changed(version, state),
    });
  }

  /** An agent may have died between writing down that a service gave up and drawing its conclusions. */
  start(): void {
    for (const upgrade of this.#parts.context.journal.upgrades()) {
      const state = this.#stateOf(upgrade);
      // One that is being started is started anew by its stage.
      if (state?.state === "failed" && upgrade.stage !== "starting") this.#changed(upgrade, state);
    }
  }

  follow(upgrades: readonly Upgrade[]): void {
    this.#watch.follow(upgrades);
  }

  stop(): Promise<void> {
    return this.#watch.stop();
  }

  statusOf(version: Version): Pick<VersionStatus, "process" | "clockOffsetMs"> {
    const state = this.#stateOf(version);
    const clockOffsetMs = this.#watch.clockOffsetMs(version);
    return {
      ...(state === undefined ? {} : { process: state }),
      ...(clockOffsetMs === undefined ? {} : { clockOffsetMs }),
    };
  }

  /** By an operator's word. False: there is nothing that has failed. */
  async startAgain(upgrade: Upgrade): Promise<boolean> {
    if (upgrade.stage !== "running" || this.#stateOf(upgrade)?.state !== "failed") return false;
    await startAgain(this.#parts.context, upgrade, this.#parts.signal);
    return true;
  }

  #stateOf({ service, version }: Version): ServiceState | undefined {
    return this.#parts.context.journal.said.serviceEntry(service, version).state;
  }

  #changed({ service, version }: Version, { state, lastExit = "ended" }: ServiceState): void {
    const { context, runner } = this.#parts;
    if (context.journal.upgrade(service, version) === undefined) return;
    if (state !== "failed") {
      runner.send({ service, version }, { type: "service-started" });
      return;
    }
    const message = `The service of ${service} ${version} ended more often than its policy allows; at last it ${lastExit}.`;
    const fault = { code: "E_SERVICE_FAILED", message };
    runner.send({ service, version }, { type: "service-failed", fault });
  }
}
