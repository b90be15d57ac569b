/** `Hypervisor` over libvirt: what all of its drivers have in common. What differs is a `Flavour`. */
import { setTimeout as sleep } from "node:timers/promises";
import type { LinkKind } from "@version-manager/version-router";
import { AgentError } from "../../errors.ts";
import type {
  DiskKind,
  DomainEvent,
  DomainSpec,
  DomainState,
  Hypervisor,
  HypervisorKind,
  ListedDomain,
  MachineSaving,
} from "../hypervisor.ts";
import type { Connection, Domain, ShutdownOptions } from "./connection.ts";
import { prepareConsoleLog } from "./console-log.ts";
import type { Owner } from "./console-log.ts";
import { domainEvents } from "./events.ts";
import { findOurs, listOurs, stateOf, unlessAbsent } from "./listing.ts";
import { isLibvirt, isLost, LibvirtCode, LibvirtError } from "./rpc/error.ts";
import { LibvirtSaving } from "./saving.ts";
import type { SavingFlavour, Start } from "./saving.ts";
import { Session } from "./session.ts";
import { shutDown } from "./shutdown.ts";

/** One of libvirt's drivers, as far as it differs from the others. */
export interface Flavour {
  readonly kind: HypervisorKind;
  readonly uri: string;
  readonly linkKind: LinkKind;
  readonly diskKind: DiskKind;
  /** Throws E_DOMAIN when the description is wrong. */
  readonly xml: (spec: DomainSpec) => string;
  /** Who must be able to write the console log; root when absent. */
  readonly consoleOwner?: () => Promise<Owner>;
  /** What the host needs besides libvirt, made before the domain and removed after it. Idempotent, both. */
  readonly host?: {
    prepare(spec: DomainSpec): Promise<void>;
    release(xml: string): Promise<void>;
  };
  /** How its domains are asked to end; otherwise as libvirt likes. */
  readonly shutdown?: ShutdownOptions;
  /** How its machines are saved and restored, where they can be. */
  readonly saving?: SavingFlavour;
  /** Throws when libvirt would not notice the end of a domain that it has just started. */
  readonly confirm?: (domain: Domain) => Promise<void>;
  /** Removes what libvirt forgets of a domain when it is killed at the wrong moment; `others` are all that are left. */
  readonly sweep?: (name: string, others: readonly string[]) => Promise<void>;
}

/** How often a domain whose processes refuse to die is killed again; libvirt itself waits 10 to 40 s each time. */
const KILLS = 5;
const KILL_PAUSE_MS = 1000;

/** Milliseconds for a domain to vanish after it was undefined. */
const GONE_TIMEOUT_MS = 10_000;

export class LibvirtHypervisor implements Hypervisor {
  readonly kind: HypervisorKind;
  readonly linkKind: LinkKind;
  readonly diskKind: DiskKind;
  readonly saving?: MachineSaving;
  readonly #flavour: Flavour;
  readonly #socket: string;
  readonly #session: Session;
  /** The last piece of work on each name: what one caller begins, the next one finds finished. */
  readonly #queues = new Map<string, Promise<unknown>>();

  constructor(flavour: Flavour, socket: string) {
    this.kind = flavour.kind;
    this.linkKind = flavour.linkKind;
    this.diskKind = flavour.diskKind;
    this.#flavour = flavour;
    this.#socket = socket;
    this.#session = new Session({ socket, uri: flavour.uri });
    if (flavour.saving === undefined) return;
    const { uri, consoleOwner } = flavour;
    this.saving = new LibvirtSaving(flavour.saving, {
      session: this.#session,
      connection: { socket, uri },
      ...(consoleOwner === undefined ? {} : { consoleOwner }),
      start: (spec, start, signal) => this.#start(spec, start, signal),
    });
  }

  /** Throws E_NO_LIBVIRT when nobody answers, E_LIBVIRT when the daemon lacks the driver. */
  async check(): Promise<void> {
    await this.#session.run(() => Promise.resolve());
  }

  async create(spec: DomainSpec, signal?: AbortSignal): Promise<void> {
    const xml = this.#flavour.xml(spec);
    const start: Start = async (connection) =>
      void (await connection.createDomain(xml, { autodestroy: false }));
    await this.#start(spec, start, signal);
  }

  async #start(spec: DomainSpec, start: Start, signal?: AbortSignal): Promise<void> {
    const xml = this.#flavour.xml(spec);
    await this.#inTurn(spec.name, async () => {
      signal?.throwIfAborted();
      await prepareConsoleLog(spec.consoleLog, await this.#flavour.consoleOwner?.());
      await this.#session.run((connection) => this.#bringUp(connection, spec, xml, start));
      if (signal?.aborted !== true) return;
      await this.#session.run((connection) => this.#takeDown(connection, spec.name));
      signal.throwIfAborted();
    });
  }

  async shutdown(name: string, { deadlineMs }: { readonly deadlineMs: number }): Promise<boolean> {
    let stopped = false;
    await this.#inTurn(name, async () => {
      stopped = await shutDown(this.#session, name, { deadlineMs, ...this.#flavour.shutdown });
    });
    return stopped;
  }

  async destroy(name: string): Promise<void> {
    await this.#inTurn(name, () => this.#session.run((connection) => this.#takeDown(connection, name)));
  }

  async state(name: string): Promise<DomainState> {
    return await this.#session.run((connection) => stateOf(connection, name));
  }

  async list(): Promise<readonly ListedDomain[]> {
    return await this.#session.run(listOurs);
  }

  events(signal: AbortSignal): AsyncIterable<DomainEvent> {
    return domainEvents({ socket: this.#socket, uri: this.#flavour.uri }, signal);
  }

  async close(): Promise<void> {
    await this.#session.close();
  }

  async #inTurn(name: string, work: () => Promise<void>): Promise<void> {
    const before = this.#queues.get(name) ?? Promise.resolve();
    const mine = before.then(work, work);
    this.#queues.set(name, mine);
    try {
      await mine;
    } finally {
      if (this.#queues.get(name) === mine) this.#queues.delete(name);
    }
  }

  /**
   * Starts first and defines then, so that a domain is never seen stopped before it ran, and one that does not start
   * leaves nothing. Defining one that runs already changes nothing of it.
   */
  async #bringUp(connection: Connection, spec: DomainSpec, xml: string, start: Start): Promise<void> {
    if ((await stateOf(connection, spec.name)) === "running") {
      await connection.defineDomain(xml);
      return;
    }
    await this.#takeDown(connection, spec.name);
    try {
      await this.#flavour.host?.prepare(spec);
      await start(connection);
      const domain = await connection.defineDomain(xml);
      await this.#flavour.confirm?.(domain);
    } catch (error) {
      // A lost connection leaves nothing to clean up with: the next try finds what there is and goes on from it.
      if (!isLost(error)) {
        await this.#takeDown(connection, spec.name);
        await this.#flavour.host?.release(xml);
      }
      throw error;
    }
  }

  async #takeDown(connection: Connection, name: string): Promise<void> {
    await this.#forget(connection, name);
    if (this.#flavour.sweep === undefined) return;
    const others = (await connection.listAllDomains()).map((domain) => domain.name);
    if (!others.includes(name)) await this.#flavour.sweep(name, others);
  }

  async #forget(connection: Connection, name: string): Promise<void> {
    const found = await findOurs(connection, name);
    if (found === undefined) return;
    await kill(found.domain);
    // Before the domain is forgotten, because only its XML says what there is to release.
    await this.#flavour.host?.release(found.xml);
    await unlessAbsent(found.domain.undefine());
    const deadline = performance.now() + GONE_TIMEOUT_MS;
    while ((await findOurs(connection, name)) !== undefined) {
      if (performance.now() > deadline) {
        throw new AgentError(
          "E_DOMAIN",
          `The domain ${name} is still listed although undefined; restart libvirtd.`,
        );
      }
      await sleep(100);
    }
  }
}

/** libvirt gives up on processes that take long to die, as they do on a busy machine; we ask again. */
async function kill(domain: Domain): Promise<void> {
  for (let kills = 1; ; kills++) {
    try {
      await unlessAbsent(domain.destroy());
      return;
    } catch (error) {
      if (isLibvirt(error, LibvirtCode.operationInvalid)) return;
      if (!(error instanceof LibvirtError) || kills === KILLS) throw error;
      await sleep(KILL_PAUSE_MS);
    }
  }
}
