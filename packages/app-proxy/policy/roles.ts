/** What the versions that run are for: some answer, some only get copies, some are kept out. */
import { VersionSet } from "../versions/version-set.ts";
import type { Quarantine } from "./quarantine.ts";

/** Which versions are shadows when nobody says. */
export const isNewestOfSeveral = (version: number, running: VersionSet): boolean =>
  running.size > 1 && version === running.max;

export class Roles {
  readonly #quarantine: Quarantine | undefined;
  readonly #isShadow: ((version: number, running: VersionSet) => boolean) | undefined;

  constructor(
    quarantine: Quarantine | undefined,
    isShadow: ((version: number, running: VersionSet) => boolean) | undefined,
  ) {
    this.#quarantine = quarantine;
    this.#isShadow = isShadow;
  }

  /** Versions that the policies know of. When all would be shadows, all answer. */
  answering(running: VersionSet): VersionSet {
    this.#quarantine?.keep(running);
    if ((this.#quarantine?.size ?? 0) === 0 && this.#isShadow === undefined) return running;
    const well = this.#well(running);
    const answering = [...well].filter((version) => this.#isShadow?.(version, well) !== true);
    return answering.length === 0 ? well : new VersionSet(answering);
  }

  /** Versions that get copies. */
  shadows(running: VersionSet): VersionSet {
    if (this.#isShadow === undefined) return new VersionSet();
    const answering = this.answering(running);
    return new VersionSet([...this.#well(running)].filter((version) => !answering.has(version)));
  }

  #well(running: VersionSet): VersionSet {
    const well = [...running].filter((version) => this.#quarantine?.has(version) !== true);
    // Told of sick versions at its start, a proxy may know of no other; a sick one is better than none.
    return well.length === 0 ? running : new VersionSet(well);
  }
}
