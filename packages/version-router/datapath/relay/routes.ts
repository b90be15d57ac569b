/**
 * Whose traffic is whose: which version a connection or datagram belongs to, by the node's state. Pure; the answers are
 * those of the kernel's data path (`../kernel/bpf`), with addresses as numbers in host order.
 */
import { parsePortSpec } from "../../ports/spec.ts";
import type { Mark } from "../../mark/mark.ts";
import type { PortSpec } from "../../control/contract.ts";
import { parseAddress } from "./endpoint.ts";
import { directDomain } from "./state.ts";
import type { RelayState } from "./state.ts";

export type Protocol = "tcp" | "udp";

/** A domain as the relay's threads see it. */
export interface RoutedDomain {
  readonly slot: number;
  readonly tag: number;
  readonly version: number;
  /** Its management address. */
  readonly address: number;
}

/** Upper half of every address that exists only inside a node, 169.254: among what the relay is given, a domain's. */
export const INTERFACE_NETWORK = 0xa9fe;
/** 169.254.128.1, that of slot 0. */
const FIRST_MANAGEMENT_ADDRESS = 0xa9fe8001;
const NOBODY: readonly RoutedDomain[] = [];

export class Routes {
  readonly serviceAddress: number;
  readonly #bySlot = new Map<number, RoutedDomain>();
  readonly #byMark = new Map<string, RoutedDomain>();
  readonly #peerPorts = new Map<string, readonly RoutedDomain[]>();
  readonly #clientPorts = new Map<string, readonly RoutedDomain[]>();
  readonly #direct = new Set<RoutedDomain>();
  readonly #marks = new Map<RoutedDomain, Mark>();
  /** Names by tag. */
  readonly #services: ReadonlyMap<number, string>;
  readonly #managed: ReadonlySet<number>;

  constructor(state: RelayState) {
    this.serviceAddress = parseAddress(state.serviceAddress);
    this.#services = new Map(state.services.map(({ tag, name }) => [tag, name]));
    this.#managed = new Set(state.managed.map(parseAddress));
    for (const { slot, tag, version, ports } of state.domains) {
      const domain = { slot, tag, version, address: FIRST_MANAGEMENT_ADDRESS + slot };
      this.#bySlot.set(slot, domain);
      this.#byMark.set(`${tag} ${version}`, domain);
      addPorts(this.#peerPorts, ports.peer, domain);
      addPorts(this.#clientPorts, ports.client, domain);
      const own = { version, status: "running" } as const;
      const advertisement = state.services.find((service) => service.tag === tag)?.advertisement ?? own;
      this.#marks.set(domain, { tag, version, advertisement });
    }
    for (const service of state.services) {
      const direct = this.#bySlot.get(directDomain(state, service)?.slot ?? -1);
      if (direct !== undefined) this.#direct.add(direct);
    }
  }

  /** The domain that has this management address. */
  at(address: number): RoutedDomain | undefined {
    return this.inSlot(address - FIRST_MANAGEMENT_ADDRESS);
  }

  inSlot(slot: number): RoutedDomain | undefined {
    return this.#bySlot.get(slot);
  }

  /** The domain of the version that a mark names. */
  ofMark({ tag, version }: Mark): RoutedDomain | undefined {
    return this.#byMark.get(`${tag} ${version}`);
  }

  /** What traffic of this domain is marked with. */
  markOf(domain: RoutedDomain): Mark {
    return this.#marks.get(domain) ?? { tag: domain.tag, version: domain.version, advertisement: undefined };
  }

  isPeerPort(domain: RoutedDomain, protocol: Protocol, port: number): boolean {
    return this.#peers(protocol, port).includes(domain);
  }

  isClientPort(domain: RoutedDomain, protocol: Protocol, port: number): boolean {
    return this.#clients(protocol, port).includes(domain);
  }

  /** True when any domain has registered it. */
  isAnyPeerPort(protocol: Protocol, port: number): boolean {
    return this.#peers(protocol, port).length > 0;
  }

  isAnyClientPort(protocol: Protocol, port: number): boolean {
    return this.#clients(protocol, port).length > 0;
  }

  /** The service's tag of a registered port; 0 when nobody has registered it. */
  tagOfPort(protocol: Protocol, port: number): number {
    return (this.#peers(protocol, port)[0] ?? this.#clients(protocol, port)[0])?.tag ?? 0;
  }

  /** Where a new client of this port goes; undefined: to no domain. */
  clientDomain(protocol: Protocol, port: number): RoutedDomain | undefined {
    return this.#clients(protocol, port).find((domain) => this.#direct.has(domain));
  }

  isManaged(address: number): boolean {
    return this.#managed.has(address);
  }

  knowsService(tag: number): boolean {
    return this.#services.has(tag);
  }

  /** "" for a service that this node does not know. */
  nameOf(tag: number): string {
    return this.#services.get(tag) ?? "";
  }

  #peers(protocol: Protocol, port: number): readonly RoutedDomain[] {
    return this.#peerPorts.get(`${protocol}/${port}`) ?? NOBODY;
  }

  #clients(protocol: Protocol, port: number): readonly RoutedDomain[] {
    return this.#clientPorts.get(`${protocol}/${port}`) ?? NOBODY;
  }
}

function addPorts(
  to: Map<string, readonly RoutedDomain[]>,
  specs: readonly PortSpec[],
  domain: RoutedDomain,
): void {
  for (const spec of specs) {
    if (parsePortSpec(spec) !== undefined) to.set(spec, [...(to.get(spec) ?? []), domain]);
  }
}
