/** Making, refilling and dropping spares: one thing at a time, as `policy.ts` says, behind whatever starts domains. */
import { dirname } from "node:path";
import { AgentError } from "../../errors.ts";
import type { ImageStore } from "../../image/contract.ts";
import type { Hypervisor, MachineSaving } from "../hypervisor.ts";
import { makeSpare, specOf } from "./make.ts";
import { SparePolicy } from "./policy.ts";
import type { Shape } from "./policy.ts";
import { hash, machineName, Shelf, spareName } from "./shelf.ts";
import type { MachineDisk, Spare } from "./shelf.ts";

const MINUTE_MS = 60_000;
const QUIET_MS = 2 * MINUTE_MS;
const RETRY_MS = 5 * MINUTE_MS;
const RETRY_MS_MAX = 6 * 60 * MINUTE_MS;
const LAPSE_MS = 30 * 24 * 60 * MINUTE_MS;
/** The newest base may become another at any time; nobody tells us. */
const LOOK_MS = MINUTE_MS;

export interface UpkeepOptions {
  readonly hypervisor: Hypervisor;
  readonly images: ImageStore;
  readonly budgetMiB: number;
  readonly quietMs: number | undefined;
  readonly log: (line: string) => void;
}

export class Upkeep {
  readonly #options: UpkeepOptions;
  readonly #shelf: Shelf;
  readonly #policy: SparePolicy;
  readonly #stopped = new AbortController();
  /** Clones under way, by spare: it is not removed under them. */
  readonly #clones = new Map<string, Set<Promise<unknown>>>();
  #work: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: UpkeepOptions) {
    this.#options = options;
    this.#shelf = new Shelf(options.images);
    this.#policy = new SparePolicy({
      budgetBytes: options.budgetMiB * 1024 ** 2,
      quietMs: options.quietMs ?? QUIET_MS,
      retryMs: RETRY_MS,
      retryMsMax: RETRY_MS_MAX,
      lapseMs: LAPSE_MS,
    });
  }

  /** What an earlier process has left is used, or goes; what cannot be removed now is told and left for the next. */
  async open(shapes: readonly Shape[]): Promise<void> {
    for (const name of await this.#shelf.names())
      await this.#takeUp(name).catch((error: unknown) => this.#tell(error));
    // Wanted, but not now: an agent that starts has better things to do, and so have its domains.
    this.#policy.started(Date.now());
    for (const shape of shapes) {
      const name = await this.nameFor(shape).catch(() => undefined);
      if (name !== undefined) this.want(shape, name);
    }
    this.wake();
  }

  async #takeUp(name: string): Promise<void> {
    const { hypervisor, images, budgetMiB } = this.#options;
    const disk = await images.findDisk(name, "qcow2");
    if (disk !== undefined && hypervisor.saving !== undefined)
      await hypervisor.destroy(machineName(dirname(disk.path)));
    const spare = await this.#shelf.find(name);
    const isWanted = budgetMiB > 0 && hypervisor.saving !== undefined;
    if (spare === undefined || !isWanted) return await this.#shelf.remove(name);
    await this.#shelf.sweep(spare);
    this.#policy.want(spare.shape, name, spare.usedAtMs);
    this.#policy.made(name, spare.bytes);
  }

  async prepare(shape: Shape, signal?: AbortSignal): Promise<void> {
    const name = await this.nameFor(shape);
    this.want(shape, name);
    await this.#inTurn(async () => {
      const known = await this.#shelf.find(name);
      if (known !== undefined && (await this.unfit(known)) === undefined) return;
      await this.#make(shape, name, signal);
    });
    this.wake();
  }

  want(shape: Shape, name: string): void {
    this.#policy.want(shape, name, Date.now());
  }

  /** A domain was started, warm or cold. */
  started(): void {
    this.#policy.started(Date.now());
    this.wake();
  }

  /** A spare that is whole. One of which a part is gone is not held any more, and so made again. */
  async find(name: string): Promise<Spare | undefined> {
    const found = await this.#shelf.find(name);
    if (found === undefined) {
      this.#later(async () => {
        if ((await this.#shelf.find(name)) === undefined) await this.#drop(name);
      });
    }
    return found;
  }

  /** Why it cannot be used any more; undefined when it can. */
  async unfit(spare: Spare, disk: MachineDisk = spare.disk): Promise<string | undefined> {
    const now = hash(await this.saving().circumstances(specOf(spare.directory, disk, spare.shape)));
    return now === spare.circumstances ? undefined : "the spare is of another QEMU, libvirt or kernel";
  }

  /** The spare stays while `clone` is under way. */
  async using<T>(spare: Spare, clone: Promise<T>): Promise<T> {
    const clones = this.#clones.get(spare.name) ?? new Set();
    this.#clones.set(spare.name, clones.add(clone));
    try {
      const result = await clone;
      await this.#shelf.touch(spare).catch(() => undefined);
      return result;
    } finally {
      clones.delete(clone);
    }
  }

  /** One that failed is not tried again, and another is made after a while. */
  retire({ name }: Spare): void {
    this.#policy.failed(name, Date.now());
    this.#later(() => this.#drop(name));
  }

  /** Throws E_NO_BASE_IMAGE. */
  async nameFor(shape: Shape): Promise<string> {
    const base = shape.base ?? (await this.#options.images.base())?.digest;
    if (base !== undefined) return spareName([base], shape);
    throw new AgentError("E_NO_BASE_IMAGE", "There is no base image to make a spare of yet.");
  }

  /** Throws E_BAD_REQUEST where machines cannot be saved. */
  saving(): MachineSaving {
    const { saving, kind } = this.#options.hypervisor;
    if (saving !== undefined) return saving;
    throw new AgentError("E_BAD_REQUEST", `There are no spares of ${kind} domains; use qemu or kvm.`);
  }

  async close(): Promise<void> {
    this.#stopped.abort();
    clearTimeout(this.#timer);
    await this.#work;
    for (const name of this.#clones.keys()) await this.#settled(name);
  }

  wake(): void {
    clearTimeout(this.#timer);
    const { budgetMiB, hypervisor } = this.#options;
    if (this.#stopped.signal.aborted || budgetMiB === 0 || hypervisor.saving === undefined) return;
    this.#later(() => this.#tend());
  }

  async #tend(): Promise<void> {
    if (this.#stopped.signal.aborted) return;
    for (const shape of this.#policy.shapes()) this.#policy.rename(shape, await this.nameFor(shape));
    const action = this.#policy.next(Date.now());
    if (action.type === "wait") {
      const pauseMs = Math.min(Math.max((action.untilMs ?? Infinity) - Date.now(), 0), LOOK_MS);
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.wake(), pauseMs);
      this.#timer.unref();
      return;
    }
    if (action.type === "drop") await this.#drop(action.name);
    else await this.#make(action.shape, action.name).catch((error: unknown) => this.#tell(error));
    this.wake();
  }

  async #make(shape: Shape, name: string, signal?: AbortSignal): Promise<void> {
    const { hypervisor, images, log } = this.#options;
    const stopped = this.#stopped.signal;
    const either = signal === undefined ? stopped : AbortSignal.any([stopped, signal]);
    this.#policy.making(name);
    try {
      await this.#settled(name);
      const options = { hypervisor, images, shelf: this.#shelf, saving: this.saving() };
      const { bytes } = await makeSpare(options, name, shape, either);
      this.#policy.made(name, bytes);
      log(`${name} is ready: ${shape.memoryMiB} MiB, ${Math.round(bytes / 1024 ** 2)} MiB on disk`);
    } catch (error) {
      this.#policy.dropped(name);
      if (either.aborted) this.#policy.stopped(name);
      else this.#policy.failed(name, Date.now());
      throw error;
    }
  }

  async #drop(name: string): Promise<void> {
    await this.#settled(name);
    const wasThere = (await this.#shelf.names()).includes(name);
    await this.#shelf.remove(name);
    this.#policy.dropped(name);
    if (wasThere) this.#options.log(`${name} is removed`);
  }

  /** When no clone is on the way from this spare. */
  async #settled(name: string): Promise<void> {
    const clones: Iterable<Promise<unknown>> = this.#clones.get(name) ?? [];
    await Promise.allSettled(clones);
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const mine = this.#work.then(work);
    this.#work = mine.catch(() => undefined);
    return mine;
  }

  #later(work: () => Promise<void>): void {
    this.#inTurn(work).catch((error: unknown) => this.#tell(error));
  }

  #tell(error: unknown): void {
    if (!this.#stopped.signal.aborted) this.#options.log((error as Error).message);
  }
}
