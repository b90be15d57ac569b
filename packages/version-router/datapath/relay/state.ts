/**
 * What the relay knows of its node, as one immutable value: domains, ports, services, managed peers. Pure. It is
 * written to a file after each change, since nothing else outlives the daemon; see state-file.ts.
 */
import { RouterError } from "../../errors.ts";
import { NO_PORTS, isPortSpec } from "../../ports/spec.ts";
import type { Advertisement, ClientPath, PortSet, PortSpec } from "../../control/contract.ts";
import { limitsOf } from "../datapath.ts";
import type { DomainEntry } from "../datapath.ts";

/** Slots 0…63, as in the kernel's data path. */
export const SLOTS = 64;
/** The longest service name, UTF-8 bytes, as in the kernel's data path. */
const SERVICE_NAME_BYTES_MAX = 63;

export interface RelayDomain extends DomainEntry {
  readonly ports: PortSet;
}

/** A service that this node knows; what marks say of any other is not remembered. */
export interface RelayService {
  readonly tag: number;
  /** "" until a domain or a client path has named it. */
  readonly name: string;
  readonly path?: ClientPath | undefined;
  readonly advertisement?: Advertisement | undefined;
}

export interface RelayState {
  readonly format: 1;
  readonly serviceAddress: string;
  /** ip_forward before us, for destroy. */
  readonly wasForwarding: boolean;
  /** In the order of their slots. */
  readonly domains: readonly RelayDomain[];
  readonly services: readonly RelayService[];
  readonly managed: readonly string[];
}

export function emptyState(serviceAddress: string, wasForwarding: boolean): RelayState {
  return { format: 1, serviceAddress, wasForwarding, domains: [], services: [], managed: [] };
}

export function domainAt(state: RelayState, slot: number): RelayDomain | undefined {
  return state.domains.find((domain) => domain.slot === slot);
}

export function isSameDomain(a: DomainEntry, b: DomainEntry): boolean {
  return a.slot === b.slot && a.tag === b.tag && a.version === b.version && a.link === b.link;
}

/** Throws E_BAD_REQUEST when the domain cannot be told apart from what is there already. */
export function assertAttachable(state: RelayState, { slot, service, tag, version }: DomainEntry): void {
  const refuse = (message: string): never => {
    throw new RouterError("E_BAD_REQUEST", message);
  };
  if (!Number.isInteger(slot) || slot < 0 || slot >= SLOTS) refuse(`A slot is 0…${SLOTS - 1}, not ${slot}.`);
  if (new TextEncoder().encode(service).length > SERVICE_NAME_BYTES_MAX) {
    refuse(`The service name "${service}" is longer than ${SERVICE_NAME_BYTES_MAX} bytes; shorten it.`);
  }
  const known = nameOf(state, tag);
  if (known !== "" && known !== service) {
    refuse(`The services "${known}" and "${service}" have one tag; rename one of them.`);
  }
  const other = state.domains.find((domain) => domain.tag === tag && domain.version === version);
  if (other !== undefined && other.slot !== slot) {
    refuse(`Version ${version} of "${service}" is attached in slot ${other.slot}; detach it first.`);
  }
}

/** Puts a domain into its slot, in place of any other, whose ports go with it. */
export function withDomain(state: RelayState, entry: DomainEntry): RelayState {
  const known = domainAt(state, entry.slot);
  const ports = known !== undefined && isSameDomain(known, entry) ? known.ports : NO_PORTS;
  const { slot, service, tag, version, link, networkMbitPerS } = entry;
  const others = state.domains.filter((domain) => domain.slot !== slot);
  const domains = [...others, { slot, service, tag, version, link, ...limitsOf(networkMbitPerS), ports }];
  return withService(
    { ...state, domains: domains.toSorted((a, b) => a.slot - b.slot) },
    { tag, name: service },
  );
}

export function withoutDomain(state: RelayState, slot: number): RelayState {
  return { ...state, domains: state.domains.filter((domain) => domain.slot !== slot) };
}

/** Changes some fields of a service, which from now on is known. */
export function withService(
  state: RelayState,
  change: Pick<RelayService, "tag"> & Partial<RelayService>,
): RelayState {
  const known = state.services.find(({ tag }) => tag === change.tag) ?? { tag: change.tag, name: "" };
  const others = state.services.filter(({ tag }) => tag !== change.tag);
  return { ...state, services: [...others, { ...known, ...change }] };
}

/** Replaces the ports of one slot. Throws E_NO_DOMAIN, E_BAD_REQUEST, E_PORT_TAKEN. */
export function withPorts(state: RelayState, slot: number, ports: PortSet): RelayState {
  const domain = domainAt(state, slot);
  if (domain === undefined) {
    throw new RouterError("E_NO_DOMAIN", `No domain is attached in slot ${slot}; attach it first.`);
  }
  for (const spec of allPorts(ports)) {
    if (!isPortSpec(spec)) {
      throw new RouterError("E_BAD_REQUEST", `"${String(spec)}" is no port; write it like tcp/7000.`);
    }
    const isTaken = state.domains.some((other) => other.tag !== domain.tag && hasPort(other, spec));
    if (isTaken) {
      throw new RouterError(
        "E_PORT_TAKEN",
        `${spec} belongs to another service on this node; choose another port.`,
      );
    }
  }
  const sorted = { peer: ports.peer.toSorted(), client: ports.client.toSorted() };
  const domains = state.domains.map((other) => (other.slot === slot ? { ...other, ports: sorted } : other));
  return { ...state, domains };
}

/** A service's name; "" for one that this node does not know. */
export function nameOf(state: RelayState, tag: number): string {
  return state.services.find((service) => service.tag === tag)?.name ?? "";
}

export function clientPathsOf(state: RelayState): Readonly<Record<string, ClientPath>> {
  return Object.fromEntries(
    state.services.flatMap(({ name, path }) => (path === undefined ? [] : [[name, path] as const])),
  );
}

/** The domain that new connections of a service's clients go to; undefined when they go to the host. */
export function directDomain(state: RelayState, { tag, path }: RelayService): RelayDomain | undefined {
  if (path?.kind !== "direct") return undefined;
  return state.domains.find((domain) => domain.tag === tag && domain.version === path.version);
}

function hasPort({ ports }: RelayDomain, spec: PortSpec): boolean {
  return ports.peer.includes(spec) || ports.client.includes(spec);
}

function allPorts({ peer, client }: PortSet): readonly PortSpec[] {
  return [...peer, ...client];
}
