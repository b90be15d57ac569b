/** The domains of this node: their slots and ports, kept in step with the data path. */
import type {
  AttachedDomain,
  DomainLink,
  LinkKind,
  LinkLimits,
  PortSet,
  VersionKey,
} from "../control/contract.ts";
import { limitsOf } from "../datapath/datapath.ts";
import type { DataPath } from "../datapath/datapath.ts";
import { RouterError } from "../errors.ts";
import { NO_PORTS, unionPorts } from "../ports/spec.ts";

/** Slots 0…63: each has its own management address and share of the ephemeral ports. */
const SLOTS = 64;

export interface TabledDomain extends AttachedDomain {
  readonly slot: number;
  readonly kind: LinkKind;
}

export class DomainTable {
  readonly #dataPath: DataPath;
  readonly #tagOf: (service: string) => number;
  readonly #bySlot = new Map<number, TabledDomain>();

  constructor(dataPath: DataPath, tagOf: (service: string) => number) {
    this.#dataPath = dataPath;
    this.#tagOf = tagOf;
  }

  /** Finds what the data path still carries; slots stay as they were. */
  async restore(): Promise<void> {
    this.#bySlot.clear();
    for (const domain of await this.#dataPath.domains()) {
      const { slot, service, version, link: kind, domainLink: link } = domain;
      const limits = limitsOf(domain.networkMbitPerS);
      const ports = unionPorts(domain.ports, NO_PORTS);
      this.#bySlot.set(slot, { slot, service, version, kind, link, ports, ...limits });
    }
  }

  all(): TabledDomain[] {
    return [...this.#bySlot.values()].toSorted((a, b) => a.slot - b.slot);
  }

  find({ service, version }: VersionKey): TabledDomain | undefined {
    return this.all().find((domain) => domain.service === service && domain.version === version);
  }

  /** Throws E_NO_DOMAIN. */
  get(key: VersionKey): TabledDomain {
    const domain = this.find(key);
    if (domain !== undefined) return domain;
    throw new RouterError(
      "E_NO_DOMAIN",
      `Version ${key.version} of ${key.service} has no domain on this node; attach it first.`,
    );
  }

  byManagementAddress(address: string): TabledDomain | undefined {
    return this.all().find((domain) => domain.link.managementAddress === address);
  }

  async attach(key: VersionKey & LinkLimits, kind: LinkKind): Promise<DomainLink> {
    const { service, version, networkMbitPerS } = key;
    const known = this.find(key);
    if (known !== undefined && known.kind !== kind) {
      throw new RouterError(
        "E_BAD_REQUEST",
        `Version ${version} of ${service} is attached by a ${known.kind}; detach it before attaching a ${kind}.`,
      );
    }
    const slot = known?.slot ?? this.#freeSlot();
    const limits = limitsOf(networkMbitPerS);
    // The data path is asked even for a known domain: it mends a link that somebody removed.
    const link = await this.#dataPath.attachDomain({
      slot,
      service,
      version,
      tag: this.#tagOf(service),
      link: kind,
      ...limits,
    });
    this.#bySlot.set(slot, {
      slot,
      service,
      version,
      kind,
      link,
      ports: known?.ports ?? NO_PORTS,
      ...limits,
    });
    return link;
  }

  async detach(domain: TabledDomain): Promise<void> {
    await this.#dataPath.detachDomain(domain.slot);
    this.#bySlot.delete(domain.slot);
  }

  async setPorts(domain: TabledDomain, ports: PortSet): Promise<void> {
    await this.#dataPath.setPorts(domain.slot, ports);
    this.#bySlot.set(domain.slot, { ...domain, ports });
  }

  #freeSlot(): number {
    for (let slot = 0; slot < SLOTS; slot += 1) if (!this.#bySlot.has(slot)) return slot;
    throw new RouterError(
      "E_TOO_MANY_DOMAINS",
      `This node has ${SLOTS} domains already; retire a version or remove a failed one.`,
    );
  }
}
