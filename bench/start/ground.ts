/** Domains on the node, many at once, each made in the way asked for and gone again when its figures are taken. */
import { join } from "node:path";
import type { DomainLink, RouterControl } from "@version-manager/version-router";
import { generateDomainKey, openHypervisor, openSession } from "@version-manager/upgrade-agent";
import type { DomainDisk, Hypervisor, ImageStore } from "@version-manager/upgrade-agent";
import type { Mark, Passage, Way } from "./contract.ts";
import { copyDisk, removeCopy } from "./copy.ts";
import type { CopySource } from "./copy.ts";
import { APP_DIRECTORY, awaitAnswer, START_COMMAND } from "./service.ts";

const SERVICE = "start";
const MEMORY_MIB = 128;
/** An emulated machine among twelve on two processors takes a minute. */
const SSH_DEADLINE_MS = 300_000;

export interface GroundOptions {
  readonly router: RouterControl;
  readonly images: ImageStore;
  readonly base: CopySource;
  /** The node's own, for disks. */
  readonly directory: string;
  readonly tarball: string;
}

type Hypervisors = Readonly<Record<"qemu" | "lxc", Hypervisor>>;

interface Subject {
  readonly name: string;
  readonly version: number;
}

export class Ground {
  readonly #options: GroundOptions;
  readonly #hypervisors: Hypervisors;
  readonly #key = generateDomainKey();
  #made = 0;

  private constructor(options: GroundOptions, hypervisors: Hypervisors) {
    this.#options = options;
    this.#hypervisors = hypervisors;
  }

  static async open(options: GroundOptions): Promise<Ground> {
    const [qemu, lxc] = [await openHypervisor({ kind: "qemu" }), await openHypervisor({ kind: "lxc" })];
    return new Ground(options, { qemu, lxc });
  }

  async close(): Promise<void> {
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
  async makeDomains(way: Way, count: number): Promise<readonly Passage[]> {
    return await this.#among(count, way, async (subjects) => {
      const from = performance.now();
      return await settleAll(subjects.map((subject) => this.#live(way, subject, from)));
    });
  }

  async #live(way: Way, subject: Subject, from: number): Promise<Passage> {
    const passed: Partial<Record<Mark, number>> = {};
    const note = (mark: Mark): void => void (passed[mark] = performance.now() - from);
    const disk = await this.#makeDisk(way, subject);
    note("disk");
    const { version } = subject;
    const kind = this.#hypervisorOf(way).linkKind;
    const link = await this.#options.router.attachDomain({ service: SERVICE, version, kind });
    note("link");
    await this.#create(way, subject, disk, link);
    note("running");
    const session = await openSession({
      address: link.managementAddress,
      privateKey: this.#key.privateKey,
      deadlineMs: SSH_DEADLINE_MS,
      onConnect: () => note("port"),
    });
    note("ssh");
    try {
      await session.copyIn(this.#options.tarball, APP_DIRECTORY);
      note("copied");
      const { exitCode, output } = await session.exec(START_COMMAND);
      if (exitCode !== 0) throw new Error(`The service did not start: ${output}`);
      note("started");
      await awaitAnswer(link.managementAddress);
      note("answered");
    } finally {
      await session.close();
    }
    return passed as Passage;
  }

  async #create(way: Way, { name, version }: Subject, disk: DomainDisk, link: DomainLink): Promise<void> {
    const authorizedKey = this.#key.publicKey;
    await this.#hypervisorOf(way).create({
      name,
      identity: { hostname: name, service: SERVICE, version, authorizedKey, link },
      disk,
      memoryMiB: MEMORY_MIB,
      vcpus: 1,
      consoleLog: join("/var/log/version-manager", `${name}.console.log`),
    });
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

/** Unlike Promise.all it waits for all of them also when one fails, so that none goes on behind a clean-up. */
async function settleAll<T>(promises: readonly Promise<T>[]): Promise<T[]> {
  await Promise.allSettled(promises);
  return await Promise.all(promises);
}
