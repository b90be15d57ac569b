/** Retirements: signed statements that some version has had its day, kept and passed on like releases. */
import { AgentError } from "../errors.ts";
import { type FleetView, nodesBehind } from "../fleet/view.ts";
import type { Journal } from "../journal/journal.ts";
import type { PeerMetadata } from "../lifecycle/works/context.ts";
import type { Envelope } from "../release/contract.ts";
import type { Verifier } from "../trust/index.ts";

export interface RetirementOptions {
  readonly journal: Journal;
  readonly verifier: Verifier;
  readonly peers: PeerMetadata;
  readonly view: () => FleetView;
  /** Lets the version drain if it runs. */
  readonly retire: (service: string, version: number) => void;
}

/** A source is not asked again for the same statement within this time, milliseconds. */
const askAgainMs = 10_000;

export class Retirements {
  readonly #options: RetirementOptions;
  readonly #asked = new Map<string, number>();

  constructor(options: RetirementOptions) {
    this.#options = options;
  }

  /** The operator's word. Refused while some node would be left without the newer version, unless forced. */
  accept(envelope: Envelope, force: boolean): { service: string; version: number } {
    const { service, version } = this.#options.verifier.verify(envelope, "retire");
    const newer = this.#newerRunning(service, version);
    if (newer === undefined) {
      const message = `No version newer than ${version} of ${service} runs on this node; retiring it would end the service.`;
      throw new AgentError("E_RETIRE_TOO_EARLY", message);
    }
    const behind = nodesBehind(this.#options.view(), service, newer).map((node) => node.node);
    if (behind.length > 0 && !force) {
      const message = `${behind.join(", ")} do(es) not run ${service} ${newer} yet; wait, or use --force.`;
      throw new AgentError("E_RETIRE_TOO_EARLY", message);
    }
    this.#options.journal.saveRetirement(service, version, envelope);
    this.apply();
    return { service, version };
  }

  /** Hearsay: the statement is fetched from whoever says so, and verified. */
  async learn(service: string, version: number, source: string, now: number): Promise<void> {
    const { journal, peers, verifier } = this.#options;
    const known = journal.upgrade(service, version);
    if (
      known === undefined ||
      known.stage === "retired" ||
      journal.retirement(service, version) !== undefined
    )
      return;
    const key = `${service} ${version} ${source}`;
    if ((this.#asked.get(key) ?? Number.NEGATIVE_INFINITY) > now - askAgainMs) return;
    if (this.#asked.size > 1_024) this.#asked.clear();
    this.#asked.set(key, now);
    const envelope = await peers.retirement(source, service, version);
    const statement = verifier.verify(envelope, "retire");
    if (statement.service !== service || statement.version !== version) return;
    journal.saveRetirement(service, version, envelope);
    this.apply();
  }

  /** Starts what was held back until the newer version ran here. */
  apply(): void {
    const { journal, retire } = this.#options;
    for (const { service, version, stage } of journal.upgrades()) {
      if (stage !== "running" || journal.retirement(service, version) === undefined) continue;
      if (this.#newerRunning(service, version) !== undefined) retire(service, version);
    }
  }

  #newerRunning(service: string, version: number): number | undefined {
    return this.#options.journal
      .upgrades()
      .filter(
        (upgrade) => upgrade.service === service && upgrade.version > version && upgrade.stage === "running",
      )
      .map((upgrade) => upgrade.version)
      .at(-1);
  }
}
