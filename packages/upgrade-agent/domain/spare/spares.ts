/** Starting domains: as clones of spares where one fits and works, else by booting them. */
import type { ImageStore } from "../../image/contract.ts";
import type { DomainSpec, Hypervisor } from "../hypervisor.ts";
import { cloneSpare } from "./clone.ts";
import type { Shape } from "./policy.ts";
import { spareName } from "./shelf.ts";
import type { Spare } from "./shelf.ts";
import { Upkeep } from "./upkeep.ts";

export interface SparesOptions {
  readonly hypervisor: Hypervisor;
  readonly images: ImageStore;
  /** What all spares may take on disk, MiB; 0 switches them off. */
  readonly budgetMiB: number;
  /** For so long after a start nothing is made in the background, ms. Default 120,000. */
  readonly quietMs?: number;
  /** Milliseconds for a restored machine to confirm who it is; then the domain is booted. Default 20,000. */
  readonly confirmTimeoutMs?: number;
  /** What happens behind the scenes, for people. */
  readonly log?: (line: string) => void;
}

/** How a domain came to run. */
export interface Start {
  readonly from: "spare" | "cold";
  /** Why it was not a spare. */
  readonly why?: string;
  /** Of a clone: 16 bytes, hex, that its generator of randomness would have given before it was seeded. */
  readonly unseeded?: string;
}

export interface Spares {
  /**
   * Takes up what an earlier process has left: whole spares are used, all else goes. Call it once, first. `shapes` are
   * wanted from now on.
   */
  open(shapes?: readonly Shape[]): Promise<void>;
  /** Makes sure of a spare, now. Throws when none can be made, with the reason. */
  prepare(shape: Shape, signal?: AbortSignal): Promise<void>;
  /** As `Hypervisor.create`, and as idempotent; a clone where one fits and works, else a boot. */
  create(spec: DomainSpec, signal?: AbortSignal): Promise<Start>;
  /** Ends what goes on in the background. Spares stay for the next process. */
  close(): Promise<void>;
}

const CONFIRM_TIMEOUT_MS = 20_000;

export class WarmSpares implements Spares {
  readonly #options: SparesOptions;
  readonly #upkeep: Upkeep;

  constructor(options: SparesOptions) {
    const { hypervisor, images, budgetMiB, quietMs, log } = options;
    this.#options = options;
    const tell = (line: string): void => log?.(`spares: ${line}`);
    this.#upkeep = new Upkeep({ hypervisor, images, budgetMiB, quietMs, log: tell });
  }

  async open(shapes: readonly Shape[] = []): Promise<void> {
    await this.#upkeep.open(shapes);
  }

  async prepare(shape: Shape, signal?: AbortSignal): Promise<void> {
    await this.#upkeep.prepare(shape, signal);
  }

  async create(spec: DomainSpec, signal: AbortSignal = new AbortController().signal): Promise<Start> {
    try {
      const found = await this.#choose(spec);
      if (typeof found === "string") {
        await this.#boot(spec, signal);
        return { from: "cold", why: found };
      }
      const start = await this.#clone(found, spec, signal);
      if (start.from === "spare") return start;
      await this.#boot(spec, signal);
      // Only now: where not even a boot works, it was not the spare's fault.
      this.#upkeep.retire(found);
      return start;
    } finally {
      this.#upkeep.started();
    }
  }

  async close(): Promise<void> {
    await this.#upkeep.close();
  }

  async #boot(spec: DomainSpec, signal: AbortSignal): Promise<void> {
    const { hypervisor, images } = this.#options;
    if ((await images.diskOrigin(spec.name)) !== undefined) await images.useDisk(spec.name);
    await hypervisor.create(spec, signal);
  }

  /** A spare that fits, or why there is none. */
  async #choose(spec: DomainSpec): Promise<Spare | string> {
    const { hypervisor, images, budgetMiB } = this.#options;
    if (hypervisor.saving === undefined) return `${hypervisor.kind} domains are not saved`;
    if (spec.disk.kind !== "qcow2") return "its image boots by itself";
    const origin = await images.diskOrigin(spec.name);
    if (origin === undefined) return "its disk is not of this node's store";
    if (origin.state === "cloning") {
      await this.#undo(spec.name);
      return "an earlier clone of it was cut off";
    }
    if (budgetMiB === 0) return "spares are switched off";
    if (origin.kind !== "base" || origin.ownKernel)
      return "its release brings an image or a kernel of its own";
    const [base = ""] = origin.digests;
    const isNewest = (await images.base())?.digest === base;
    const shape = { memoryMiB: spec.memoryMiB, vcpus: spec.vcpus, ...(isNewest ? {} : { base }) };
    const name = spareName(origin.digests, shape);
    this.#upkeep.want(shape, name);
    if (origin.state === "used") return "its disk was booted before";
    const spare = await this.#upkeep.find(name);
    if (spare === undefined) return "no spare of its shape is ready";
    const unfit = await this.#upkeep.unfit(spare, spec.disk);
    if (unfit === undefined) return spare;
    this.#upkeep.retire(spare);
    return unfit;
  }

  async #clone(spare: Spare, spec: DomainSpec, signal: AbortSignal): Promise<Start> {
    const { images, confirmTimeoutMs = CONFIRM_TIMEOUT_MS } = this.#options;
    const options = { saving: this.#upkeep.saving(), images, confirmTimeoutMs };
    try {
      const unseeded = await this.#upkeep.using(spare, cloneSpare(options, spare, spec, signal));
      return { from: "spare", unseeded };
    } catch (error) {
      await this.#undo(spec.name);
      signal.throwIfAborted();
      return { from: "cold", why: `a clone failed: ${(error as Error).message}` };
    }
  }

  /** Nothing stays of a clone that did not come to be. */
  async #undo(name: string): Promise<void> {
    await this.#options.hypervisor.destroy(name);
    await this.#options.images.renewDisk(name);
  }
}
