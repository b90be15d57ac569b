/**
 * Keeps telling the router what it should advertise and whom to mark. Level-triggered: it compares what should be with
 * what was last told, so a router that was away is told again.
 */
import type { Advertisement, RouterControl, RouterStatus } from "@version-manager/version-router";
import type { Upgrade } from "../lifecycle/machine.ts";
import { isComplete } from "../lifecycle/stages.ts";

/** What marks of a service may advertise: complete versions, and retired ones so that laggards learn of it. */
export function advertisementsOf(upgrades: readonly Upgrade[], service: string): Advertisement[] {
  return upgrades
    .filter((upgrade) => upgrade.service === service)
    .flatMap(({ version, stage }): Advertisement[] => {
      if (stage === "retired") return [{ version, status: "retired" }];
      if (!isComplete(stage)) return [];
      return [{ version, status: stage === "running" ? "running" : "available" }];
    });
}

export class RouterSync {
  readonly #router: RouterControl;
  readonly #told = new Map<string, string>();
  #routerStartedAtMs = 0;
  #status: RouterStatus | undefined;

  constructor(router: RouterControl) {
    this.#router = router;
  }

  /** The last answer, or undefined while the router does not answer. */
  get status(): RouterStatus | undefined {
    return this.#status;
  }

  /** Never throws: a router that is away is told again at the next call. */
  async sync(upgrades: readonly Upgrade[], otherNodes: readonly string[]): Promise<void> {
    try {
      this.#status = await this.#router.status();
      if (this.#status.startedAtMs !== this.#routerStartedAtMs) this.#told.clear();
      this.#routerStartedAtMs = this.#status.startedAtMs;
      await this.#tell("peers", otherNodes, () => this.#router.setManagedPeers(otherNodes));
      for (const service of new Set(upgrades.map((upgrade) => upgrade.service))) {
        const advertisements = advertisementsOf(upgrades, service);
        await this.#tell(`service ${service}`, advertisements, () =>
          this.#router.setAdvertisements(service, advertisements),
        );
      }
    } catch {
      this.#status = undefined;
      this.#told.clear();
    }
  }

  async #tell(what: string, value: unknown, tell: () => Promise<void>): Promise<void> {
    const text = JSON.stringify(value);
    if (this.#told.get(what) === text) return;
    await tell();
    this.#told.set(what, text);
  }
}
