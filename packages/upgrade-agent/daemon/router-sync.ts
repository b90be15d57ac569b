/**
 * Keeps telling the router what it should advertise and whom to mark. Level-triggered: it compares what should be with
 * what was last told, so a router that was away is told again.
 */
import { RouterError } from "@version-manager/version-router";
import type {
  Advertisement,
  RouterControl,
  RouterStatus,
  ServicePolicy,
} from "@version-manager/version-router";
import type { Upgrade } from "../lifecycle/machine.ts";
import type { Manifest } from "../release/contract.ts";
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

/**
 * The version whose manifest says how the service treats peers without Version Manager. The router has one policy per
 * service: that of the newest version that runs; while none runs yet, of the newest that lies complete here.
 */
export function policyVersion(upgrades: readonly Upgrade[], service: string): Upgrade | undefined {
  const complete = upgrades.filter((upgrade) => upgrade.service === service && isComplete(upgrade.stage));
  const running = complete.filter(({ stage }) => stage === "running");
  return (running.length > 0 ? running : complete).toSorted((a, b) => b.version - a.version)[0];
}

export function policyOf({ unmanagedPeers = "deny" }: Pick<Manifest, "unmanagedPeers">): ServicePolicy {
  return { unmanagedPeers };
}

export interface RouterSyncParts {
  readonly router: RouterControl;
  /** What the manifest of a complete release says. */
  readonly policyOf: (upgrade: Upgrade) => Promise<ServicePolicy>;
  readonly log: (message: string) => void;
}

export class RouterSync {
  readonly #router: RouterControl;
  readonly #parts: RouterSyncParts;
  readonly #told = new Map<string, string>();
  #routerStartedAtMs = 0;
  #status: RouterStatus | undefined;

  constructor(parts: RouterSyncParts) {
    this.#parts = parts;
    this.#router = parts.router;
  }

  /** The last answer, or undefined while the router does not answer. */
  get status(): RouterStatus | undefined {
    return this.#status;
  }

  /** Never throws: a router that is away is told again at the next call. */
  async sync(upgrades: readonly Upgrade[], managedPeers: readonly string[]): Promise<void> {
    try {
      this.#status = await this.#router.status();
      if (this.#status.startedAtMs !== this.#routerStartedAtMs) this.#told.clear();
      this.#routerStartedAtMs = this.#status.startedAtMs;
      await this.#tell("peers", managedPeers, () => this.#router.setManagedPeers(managedPeers));
      for (const service of new Set(upgrades.map((upgrade) => upgrade.service))) {
        await this.#tellPolicy(service, upgrades);
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

  async #tellPolicy(service: string, upgrades: readonly Upgrade[]): Promise<void> {
    const upgrade = policyVersion(upgrades, service);
    if (upgrade === undefined) return;
    const policy = await this.#parts.policyOf(upgrade);
    await this.#tell(`policy of ${service}`, policy, async () => {
      try {
        await this.#router.setPolicy(service, policy);
      } catch (error) {
        // A data path that can only deny says so once; the rest of the service works.
        if (!(error instanceof RouterError) || error.code !== "E_BAD_REQUEST") throw error;
        this.#parts.log(`${service} ${upgrade.version}: unmanagedPeers: ${error.message}`);
      }
    });
  }

  async #tell(what: string, value: unknown, tell: () => Promise<void>): Promise<void> {
    const text = JSON.stringify(value);
    if (this.#told.get(what) === text) return;
    await tell();
    this.#told.set(what, text);
  }
}
