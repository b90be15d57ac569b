/**
 * A hypervisor in memory, for tests: it passes the same suite as the real ones, and can be told to fail. Its domains
 * run nothing; their console logs are only remembered.
 */
import { EventEmitter, on } from "node:events";
import type { LinkKind } from "@version-manager/version-router";
import { AgentError } from "../errors.ts";
import type {
  DiskKind,
  DomainEvent,
  DomainSpec,
  DomainState,
  Hypervisor,
  ListedDomain,
} from "./hypervisor.ts";
import { checkSpec } from "./xml/frame.ts";

/** Calls that can be made to fail. */
export type FakeFault = "create" | "shutdown" | "destroy" | "list";

export class FakeHypervisor implements Hypervisor {
  readonly kind = "qemu";
  readonly linkKind: LinkKind = "tap";
  readonly diskKind: DiskKind = "qcow2";
  readonly #domains = new Map<string, { readonly spec: DomainSpec; state: ListedDomain["state"] }>();
  readonly #foreign = new Set<string>();
  readonly #deaf = new Set<string>();
  readonly #faults = new Map<FakeFault, Error[]>();
  readonly #changes = new EventEmitter();

  /** The next calls of this name fail with these errors, one after another. */
  failNext(call: FakeFault, ...errors: readonly Error[]): void {
    this.#faults.set(call, [...(this.#faults.get(call) ?? []), ...errors]);
  }

  /** The domain ends by itself, as in a crash of the guest. */
  crash(name: string): void {
    const domain = this.#domains.get(name);
    if (domain?.state === "running") this.#change(name, (domain.state = "stopped"));
  }

  /** The domain does not listen when it is asked to shut down. */
  deafen(name: string): void {
    this.#deaf.add(name);
  }

  /** A domain that somebody else made has this name from now on. */
  addForeign(name: string): void {
    this.#foreign.add(name);
  }

  hasForeign(name: string): boolean {
    return this.#foreign.has(name);
  }

  /** What a domain was last created with. */
  spec(name: string): DomainSpec | undefined {
    return this.#domains.get(name)?.spec;
  }

  async create(spec: DomainSpec, signal?: AbortSignal): Promise<void> {
    await this.#step("create", spec.name, () => {
      checkSpec(spec);
      signal?.throwIfAborted();
      if (this.#domains.get(spec.name)?.state === "running") return;
      this.#domains.set(spec.name, { spec, state: "running" });
      this.#change(spec.name, "running");
    });
  }

  async shutdown(name: string, _options: { readonly deadlineMs: number }): Promise<boolean> {
    let stopped = true;
    await this.#step("shutdown", name, () => {
      if (this.#deaf.has(name)) stopped = this.#domains.get(name)?.state !== "running";
      else this.crash(name);
    });
    return stopped;
  }

  async destroy(name: string): Promise<void> {
    await this.#step("destroy", name, () => {
      this.crash(name);
      if (this.#domains.delete(name)) this.#change(name, "absent");
    });
  }

  async state(name: string): Promise<DomainState> {
    return await Promise.resolve(this.#domains.get(name)?.state ?? "absent");
  }

  async list(): Promise<readonly ListedDomain[]> {
    await this.#step("list", undefined, () => undefined);
    return [...this.#domains].map(([name, { state }]) => ({ name, state }));
  }

  async *events(signal: AbortSignal): AsyncGenerator<DomainEvent> {
    if (signal.aborted) return;
    const changes = on(this.#changes, "change", { signal });
    for (const [name, { state }] of this.#domains) yield { name, state };
    try {
      for await (const [event] of changes) yield event as DomainEvent;
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  async close(): Promise<void> {
    await Promise.resolve();
  }

  #change(name: string, state: DomainState): void {
    this.#changes.emit("change", { name, state } satisfies DomainEvent);
  }

  async #step(call: FakeFault, name: string | undefined, work: () => void): Promise<void> {
    await Promise.resolve();
    const fault = this.#faults.get(call)?.shift();
    if (fault !== undefined) throw fault;
    if (name !== undefined && this.#foreign.has(name)) {
      throw new AgentError(
        "E_DOMAIN",
        `The domain ${name} was not made by Version Manager; rename or remove it first.`,
      );
    }
    work();
  }
}
