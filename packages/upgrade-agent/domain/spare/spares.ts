/** Spares at work: `create` in the foreground; making, refilling and dropping behind it, one at a time. */
import { dirname } from "node:path";
import { AgentError } from "../../errors.ts";
import type { ImageStore } from "../../image/contract.ts";
import type { DomainSpec, Hypervisor, MachineSaving } from "../hypervisor.ts";
import { cloneSpare } from "./clone.ts";
import { makeSpare, specOf } from "./make.ts";
import { SparePolicy } from "./policy.ts";
import type { Shape } from "./policy.ts";
import { hash, machineName, Shelf, spareName } from "./shelf.ts";
import type { MachineDisk, Spare } from "./shelf.ts";

export interface SparesOptions {
  readonly hypervisor: Hypervisor;
  readonly images: ImageStore;
  /** What all spares may take on disk, MiB; 0 switches them off. */
  readonly budgetMiB: number;
  /** For so long after a start nothing is made in the background, ms. Default 60,000. */
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

const MINUTE_MS = 60_000;
const QUIET_MS = MINUTE_MS;
const CONFIRM_TIMEOUT_MS = 20_000;
const RETRY_MS = 5 * MINUTE_MS;
const RETRY_MS_MAX = 6 * 60 * MINUTE_MS;
const LAPSE_MS = 30 * 24 * 60 * MINUTE_MS;
/** The newest base may become another at any time; nobody tells us. */
const LOOK_MS = MINUTE_MS;

export class WarmSpares implements Spares {
  readonly #options: SparesOptions;
  readonly #shelf: Shelf;
  readonly #policy: SparePolicy;
  readonly #stopped = new AbortController();
  /** Clones under way, by spare: it is not removed under them. */
  readonly #clones = new Map<string, Set<Promise<unknown>>>();
  #work: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: SparesOptions) {
    const { budgetMiB, quietMs = QUIET_MS } = options;
    this.#options = options;
    this.#shelf = new Shelf(options.images);
    this.#policy = new SparePolicy({
      budgetBytes: budgetMiB * 1024 ** 2,
      quietMs,
      retryMs: RETRY_MS,
      retryMsMax: RETRY_MS_MAX,
      lapseMs: LAPSE_MS,
    });
  }

  async open(shapes: readonly Shape[] = []): Promise<void> {
    for (const name of await this.#shelf.names()) await this.#takeUp(name);
    // Wanted, but not now: an agent that starts has better things to do, and so have its domains.
    this.#policy.started(Date.now());
    for (const shape of shapes) {
      const name = await this.#nameFor(shape).catch(() => undefined);
      if (name !== undefined) this.#policy.want(shape, name, Date.now());
    }
    this.#wake();
  }

  async #takeUp(name: string): Promise<void> {
    const { hypervisor, images } = this.#options;
    const disk = await images.findDisk(name, "qcow2");
    if (disk !== undefined && hypervisor.saving !== undefined)
      await hypervisor.destroy(machineName(dirname(disk.path)));
    const spare = await this.#shelf.find(name);
    if (spare === undefined) return await this.#shelf.remove(name);
    await this.#shelf.sweep(spare);
    this.#policy.want(spare.shape, name, spare.usedAtMs);
    this.#policy.made(name, spare.bytes);
  }

  async prepare(shape: Shape, signal?: AbortSignal): Promise<void> {
    const name = await this.#nameFor(shape);
    this.#policy.want(shape, name, Date.now());
    await this.#inTurn(async () => {
      const known = await this.#shelf.find(name);
      if (known !== undefined && (await this.#unfit(known)) === undefined) return;
      await this.#make(shape, name, signal);
    });
    this.#wake();
  }

  async create(spec: DomainSpec, signal: AbortSignal = new AbortController().signal): Promise<Start> {
    const { images } = this.#options;
    try {
      const found = await this.#choose(spec);
      if (typeof found !== "string") {
        const start = await this.#tryClone(found, spec, signal);
        if (start.from === "spare") return start;
        await this.#cold(spec, signal);
        return start;
      }
      if ((await images.diskOrigin(spec.name)) !== undefined) await images.useDisk(spec.name);
      await this.#cold(spec, signal);
      return { from: "cold", why: found };
    } finally {
      this.#policy.started(Date.now());
      this.#wake();
    }
  }

  async close(): Promise<void> {
    this.#stopped.abort();
    clearTimeout(this.#timer);
    await this.#work;
    await Promise.allSettled([...this.#clones.values()].flatMap((clones) => [...clones]));
  }

  async #cold(spec: DomainSpec, signal: AbortSignal): Promise<void> {
    await this.#options.hypervisor.create(spec, signal);
  }

  /** A spare that fits, or why there is none. */
  async #choose(spec: DomainSpec): Promise<Spare | string> {
    const { hypervisor, images, budgetMiB } = this.#options;
    const { saving } = hypervisor;
    if (saving === undefined) return `${hypervisor.kind} domains are not saved`;
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
    const newest = (await images.base())?.digest;
    const [base = ""] = origin.digests;
    const shape = { memoryMiB: spec.memoryMiB, vcpus: spec.vcpus, ...(base === newest ? {} : { base }) };
    const name = spareName(origin.digests, shape);
    this.#policy.want(shape, name, Date.now());
    if (origin.state === "used") return "its disk was booted before";
    const spare = await this.#shelf.find(name);
    if (spare === undefined) {
      void this.#inTurn(() => this.#forgetBroken(name)).catch(() => undefined);
      return "no spare of its shape is ready";
    }
    const unfit = await this.#unfit(spare, spec.disk);
    if (unfit === undefined) return spare;
    this.#retire(spare);
    return unfit;
  }

  /** Why it cannot be used any more. */
  async #unfit(spare: Spare, disk: MachineDisk = spare.disk): Promise<string | undefined> {
    const now = hash(await this.#saving().circumstances(specOf(spare.directory, disk, spare.shape)));
    return now === spare.circumstances ? undefined : "the spare is of another QEMU, libvirt or kernel";
  }

  async #tryClone(spare: Spare, spec: DomainSpec, signal: AbortSignal): Promise<Start> {
    const { images, confirmTimeoutMs = CONFIRM_TIMEOUT_MS } = this.#options;
    const options = { saving: this.#saving(), images, confirmTimeoutMs };
    const cloning = cloneSpare(options, spare, spec, signal);
    const others = this.#clones.get(spare.name) ?? new Set();
    this.#clones.set(spare.name, others.add(cloning));
    try {
      const unseeded = await cloning;
      await this.#shelf.touch(spare).catch(() => undefined);
      return { from: "spare", unseeded };
    } catch (error) {
      await this.#undo(spec.name);
      signal.throwIfAborted();
      this.#retire(spare);
      await images.useDisk(spec.name);
      return { from: "cold", why: `a clone failed: ${(error as Error).message}` };
    } finally {
      others.delete(cloning);
    }
  }

  /** Nothing stays of a clone that did not come to be. */
  async #undo(name: string): Promise<void> {
    await this.#options.hypervisor.destroy(name);
    await this.#options.images.renewDisk(name);
  }

  /** One that failed is not tried again, and another is made after a while. */
  #retire(spare: Spare): void {
    this.#policy.failed(spare.name, Date.now());
    void this.#inTurn(() => this.#drop(spare.name)).catch((error: unknown) =>
      this.#log((error as Error).message),
    );
  }

  /** One of which a part is gone is not held any more, and so made again. */
  async #forgetBroken(name: string): Promise<void> {
    if ((await this.#shelf.find(name)) === undefined) await this.#drop(name);
  }

  /** When no clone is on the way from this spare. */
  async #settled(name: string): Promise<void> {
    const clones: Iterable<Promise<unknown>> = this.#clones.get(name) ?? [];
    await Promise.allSettled(clones);
  }

  async #drop(name: string): Promise<void> {
    await this.#settled(name);
    const wasThere = (await this.#shelf.names()).includes(name);
    await this.#shelf.remove(name);
    this.#policy.dropped(name);
    if (wasThere) this.#log(`${name} is removed`);
  }

  async #make(shape: Shape, name: string, signal?: AbortSignal): Promise<void> {
    const { hypervisor, images } = this.#options;
    const stopped = this.#stopped.signal;
    const either = signal === undefined ? stopped : AbortSignal.any([stopped, signal]);
    this.#policy.making(name);
    try {
      await this.#settled(name);
      const options = { hypervisor, images, shelf: this.#shelf, saving: this.#saving() };
      const made = await makeSpare(options, name, shape, either);
      this.#policy.made(name, made.bytes);
      this.#log(
        `${name} is ready: ${shape.memoryMiB} MiB, ${Math.round(made.bytes / 1024 ** 2)} MiB on disk`,
      );
    } catch (error) {
      this.#policy.dropped(name);
      if (either.aborted) this.#policy.stopped(name);
      else this.#policy.failed(name, Date.now());
      throw error;
    }
  }

  /** One thing after another in the background, with what was there in the way of errors told and left behind. */
  #wake(): void {
    clearTimeout(this.#timer);
    if (this.#stopped.signal.aborted || this.#options.budgetMiB === 0) return;
    if (this.#options.hypervisor.saving === undefined) return;
    void this.#inTurn(() => this.#tend()).catch((error: unknown) => {
      if (!this.#stopped.signal.aborted) this.#log((error as Error).message);
    });
  }

  async #tend(): Promise<void> {
    if (this.#stopped.signal.aborted) return;
    for (const shape of this.#policy.shapes()) this.#policy.rename(shape, await this.#nameFor(shape));
    const action = this.#policy.next(Date.now());
    if (action.type === "wait") {
      const pauseMs = Math.min(Math.max((action.untilMs ?? Infinity) - Date.now(), 0), LOOK_MS);
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#wake(), pauseMs);
      this.#timer.unref();
      return;
    }
    if (action.type === "drop") await this.#drop(action.name);
    else
      await this.#make(action.shape, action.name).catch((error: unknown) =>
        this.#log((error as Error).message),
      );
    this.#wake();
  }

  /** Throws E_NO_BASE_IMAGE. */
  async #nameFor(shape: Shape): Promise<string> {
    const base = shape.base ?? (await this.#options.images.base())?.digest;
    if (base === undefined)
      throw new AgentError("E_NO_BASE_IMAGE", "There is no base image to make a spare of yet.");
    return spareName([base], shape);
  }

  #saving(): MachineSaving {
    const { saving, kind } = this.#options.hypervisor;
    if (saving !== undefined) return saving;
    throw new AgentError("E_BAD_REQUEST", `There are no spares of ${kind} domains; use qemu or kvm.`);
  }

  #log(line: string): void {
    this.#options.log?.(`spares: ${line}`);
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const mine = this.#work.then(work);
    this.#work = mine.catch(() => undefined);
    return mine;
  }
}
