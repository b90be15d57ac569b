/** Domains on the node, many at once, each made in the way asked for and gone again when its figures are taken. */
import { join } from "node:path";
import type { DomainLink, RouterControl } from "@version-manager/version-router";
import {
  createSpares,
  generateDomainKey,
  openHypervisor,
  openSession,
  startService,
} from "@version-manager/upgrade-agent";
import type { DomainDisk, DomainSpec, Hypervisor, ImageStore, Spares } from "@version-manager/upgrade-agent";
import type { Mark, Passage, Way } from "./contract.ts";
import { copyDisk, removeCopy } from "./copy.ts";
import type { CopySource } from "./copy.ts";
import { APP_DIRECTORY, awaitAnswer } from "./service.ts";
import type { Release } from "./service.ts";

const SERVICE = "start";
/** Of every domain; a spare fits one that has the same. */
const SHAPE = { memoryMiB: 128, vcpus: 1 } as const;
const SPARES_BUDGET_MIB = 512;
/** Nothing is made in the background while something is measured, ms: longer than any bench. */
const QUIET_MS = 24 * 60 * 60 * 1000;
/** An emulated machine among twelve on two processors takes a minute. */
const SSH_DEADLINE_MS = 300_000;

export interface GroundOptions {
  readonly router: RouterControl;
  readonly images: ImageStore;
  readonly base: CopySource;
  /** The node's own, for disks. */
  readonly directory: string;
  readonly release: Release;
}

type Hypervisors = Readonly<Record<"qemu" | "lxc", Hypervisor>>;

/** How often an agent tries to create a domain. */
const TRIES_MAX = 3;

interface BringUp {
  readonly disk: DomainDisk;
  readonly detours: string[];
  readonly note: (mark: Mark) => void;
}

interface Subject {
  readonly name: string;
  readonly version: number;
}

export interface Lives {
  readonly passages: readonly Passage[];
  /** What did not go straight: a clone that was booted instead, a start that was tried again. */
  readonly detours: readonly string[];
}

export class Ground {
  readonly #options: GroundOptions;
  readonly #hypervisors: Hypervisors;
  readonly #spares: Spares;
  readonly #key = generateDomainKey();
  #made = 0;

  private constructor(options: GroundOptions, hypervisors: Hypervisors) {
    const { images } = options;
    this.#options = options;
    this.#hypervisors = hypervisors;
    this.#spares = createSpares({
      hypervisor: hypervisors.qemu,
      images,
      budgetMiB: SPARES_BUDGET_MIB,
      quietMs: QUIET_MS,
    });
  }

  static async open(options: GroundOptions): Promise<Ground> {
    const [qemu, lxc] = [await openHypervisor({ kind: "qemu" }), await openHypervisor({ kind: "lxc" })];
    const ground = new Ground(options, { qemu, lxc });
    await ground.#spares.open();
    return ground;
  }

  async close(): Promise<void> {
    await this.#spares.close();
    for (const hypervisor of Object.values(this.#hypervisors)) await hypervisor.close();
  }

  /** Milliseconds until so many disks were there, begun at once. */
  async makeDisks(way: Way, count: number): Promise<number> {
    return await this.#among(count, way, async (subjects) => {
      const from = performance.now();
      await settleAll(subjects.map((subject) => this.#makeDisk(way, subject)));
      return performance.now() - from;
    });
  }

  /** When each of so many domains, begun at once, passed each mark. */
  async makeDomains(way: Way, count: number): Promise<Lives> {
    // The one before may have been spoilt, or another base may be the newest.
    if (way === "spare") await this.#spares.prepare(SHAPE);
    const detours: string[] = [];
    return await this.#among(count, way, async (subjects) => {
      const from = performance.now();
      const passages = await settleAll(subjects.map((subject) => this.#live(way, subject, from, detours)));
      return { passages, detours };
    });
  }

  async #live(way: Way, subject: Subject, from: number, detours: string[]): Promise<Passage> {
    const passed: Partial<Record<Mark, number>> = {};
    const note = (mark: Mark): void => void (passed[mark] = performance.now() - from);
    const disk = await this.#makeDisk(way, subject);
    note("disk");
    const link = await this.#bringUp(way, subject, { disk, detours, note });
    const session = await openSession({
      address: link.managementAddress,
      privateKey: this.#key.privateKey,
      deadlineMs: SSH_DEADLINE_MS,
      onConnect: () => note("port"),
    });
    note("ssh");
    try {
      const { manifest, tarball } = this.#options.release;
      await session.copyIn(tarball, APP_DIRECTORY);
      note("copied");
      const { signal } = new AbortController();
      await startService(session, { manifest, directory: APP_DIRECTORY, environment: {}, signal });
      note("started");
      await awaitAnswer(link.managementAddress);
      note("answered");
    } finally {
      await session.close();
    }
    return passed as Passage;
  }

  /** As an agent does: link and domain again when libvirt could not start it, which happens to containers. */
  async #bringUp(way: Way, subject: Subject, { disk, detours, note }: BringUp): Promise<DomainLink> {
    const { version } = subject;
    const { linkKind: kind } = this.#hypervisorOf(way);
    for (let tries = 1; ; tries += 1) {
      const link = await this.#options.router.attachDomain({ service: SERVICE, version, kind });
      note("link");
      try {
        const why = await this.#create(way, specOf(subject, disk, link, this.#key.publicKey));
        if (why !== undefined) detours.push(`${way}: booted, because ${why}`);
        note("running");
        return link;
      } catch (error) {
        const { code } = error as { readonly code?: string };
        if (code !== "E_LIBVIRT" || tries === TRIES_MAX) throw error;
        detours.push(`${way}: started again, because libvirt could not do it`);
      }
    }
  }

  /** Answers why it was booted although it should have been a clone. */
  async #create(way: Way, spec: DomainSpec): Promise<string | undefined> {
    if (way === "spare") return (await this.#spares.create(spec)).why;
    await this.#hypervisorOf(way).create(spec);
    return undefined;
  }

  #hypervisorOf(way: Way): Hypervisor {
    return this.#hypervisors[way === "lxc" ? "lxc" : "qemu"];
  }

  async #makeDisk(way: Way, { name }: Subject): Promise<DomainDisk> {
    const { images, base, directory } = this.#options;
    if (way === "copy") return await copyDisk(base, directory, name);
    return await images.prepareDisk(name, this.#hypervisorOf(way).diskKind);
  }

  /** Whatever `use` does with them, nothing of them is left. */
  async #among<T>(count: number, way: Way, use: (subjects: readonly Subject[]) => Promise<T>): Promise<T> {
    const subjects = Array.from({ length: count }, () => {
      this.#made += 1;
      return { name: `vm-${SERVICE}-${this.#made}`, version: this.#made };
    });
    try {
      return await use(subjects);
    } finally {
      await settleAll(subjects.map((subject) => this.#remove(way, subject)));
    }
  }

  async #remove(way: Way, { name, version }: Subject): Promise<void> {
    await this.#hypervisorOf(way).destroy(name);
    await this.#options.router.detachDomain({ service: SERVICE, version });
    await this.#options.images.removeDisk(name);
    if (way === "copy") await removeCopy(this.#options.directory, name);
  }
}

function specOf(
  { name, version }: Subject,
  disk: DomainDisk,
  link: DomainLink,
  authorizedKey: string,
): DomainSpec {
  return {
    name,
    identity: { hostname: name, service: SERVICE, version, authorizedKey, link },
    disk,
    ...SHAPE,
    consoleLog: join("/var/log/version-manager", `${name}.console.log`),
  };
}

/** Unlike Promise.all it waits for all of them also when one fails, so that none goes on behind a clean-up. */
async function settleAll<T>(promises: readonly Promise<T>[]): Promise<T[]> {
  await Promise.allSettled(promises);
  return await Promise.all(promises);
}
