/** Which domain is in which slot, kept in the maps that the programs read. */
import { RouterError } from "../../errors.ts";
import { forgetFlows } from "./flow-table.ts";
import { replacePorts } from "./port-table.ts";
import { DIRECTION, SERVICE_NAME_BYTES_MAX, SLOTS } from "./structs.ts";
import { limitsOf } from "../datapath.ts";
import type { DomainEntry } from "../datapath.ts";
import type { Maps } from "./pins.ts";
import type { slot as slotStruct } from "./structs.ts";

export type Slot = ReturnType<typeof slotStruct.decode>;

const LINK_KINDS = ["tap", "veth"] as const;

/** What of a slot's entry does not follow from the domain itself. */
export type SlotLink = Pick<Slot, "ifindex" | "management" | "management6" | "guest_mac" | "host_mac">;

export function toSlot(domain: DomainEntry, link: SlotLink): Slot {
  return {
    ...link,
    version: domain.version,
    mbit_per_s: domain.networkMbitPerS ?? 0,
    tag: domain.tag,
    link: LINK_KINDS.indexOf(domain.link) + 1,
    pad: undefined,
    service: domain.service,
  };
}

export function toDomain(slot: number, entry: Slot): DomainEntry {
  const link = LINK_KINDS[entry.link - 1] ?? "tap";
  const limits = limitsOf(entry.mbit_per_s || undefined);
  return { slot, service: entry.service, tag: entry.tag, version: entry.version, link, ...limits };
}

export function isSameDomain(entry: Slot, domain: DomainEntry): boolean {
  const found = toDomain(domain.slot, entry);
  return found.version === domain.version && found.tag === domain.tag && found.link === domain.link;
}

/** The domain in a slot, if any. */
export function occupant(maps: Maps, slot: number): Slot | undefined {
  const entry = maps.slots.get(slot);
  return entry === undefined || entry.ifindex === 0 ? undefined : entry;
}

export function occupants(maps: Maps): readonly (readonly [number, Slot])[] {
  return maps.slots.entries().filter(([, entry]) => entry.ifindex !== 0);
}

/** Puts a domain into its slot, over an earlier link of the same domain. */
export function occupy(maps: Maps, slot: number, entry: Slot): void {
  const before = occupant(maps, slot);
  if (before !== undefined && before.ifindex !== entry.ifindex) maps.interfaces.delete(before.ifindex);
  if (before?.mbit_per_s !== entry.mbit_per_s) fillBuckets(maps, slot);
  maps.slots.set(slot, entry);
  maps.interfaces.set(entry.ifindex, slot);
  maps.domains.set({ version: entry.version, tag: entry.tag, pad: undefined }, slot);
}

/** What is owed at a slow rate would take too long at a faster one, and another domain owes nothing. */
function fillBuckets(maps: Maps, slot: number): void {
  for (const direction of Object.values(DIRECTION))
    maps.buckets.set(slot * 2 + direction, { lock: 0, pad: undefined, paid_ns: 0n });
}

/**
 * Takes a domain out, with its ports and connections. Nothing is delivered to it from the first lines on. Repeating it
 * finishes what was begun, as the slot keeps its interface's number until nothing else refers to it.
 */
export function vacate(maps: Maps, slot: number): void {
  const entry = maps.slots.get(slot);
  if (entry === undefined) return;
  const key = { version: entry.version, tag: entry.tag, pad: undefined };
  if (maps.domains.get(key) === slot) maps.domains.delete(key);
  maps.interfaces.delete(entry.ifindex);
  maps.slots.set(slot, { ...entry, ifindex: 0 });
  replacePorts(maps.ports, slot, entry.tag, { peer: [], client: [] });
  forgetFlows(maps, slot);
}

/** Throws E_BAD_REQUEST when the domain cannot be told apart from what is there already. */
export function assertAttachable(maps: Maps, { slot, service, tag, version }: DomainEntry): void {
  const refuse = (message: string): never => {
    throw new RouterError("E_BAD_REQUEST", message);
  };
  if (!Number.isInteger(slot) || slot < 0 || slot >= SLOTS) refuse(`A slot is 0…${SLOTS - 1}, not ${slot}.`);
  if (Buffer.byteLength(service) > SERVICE_NAME_BYTES_MAX) {
    refuse(`The service name "${service}" is longer than ${SERVICE_NAME_BYTES_MAX} bytes; shorten it.`);
  }
  const known = maps.services.get(tag)?.name;
  if (known !== undefined && known !== "" && known !== service) {
    refuse(`The services "${known}" and "${service}" have one tag; rename one of them.`);
  }
  const other = maps.domains.get({ version, tag, pad: undefined });
  if (other !== undefined && other !== slot) {
    refuse(`Version ${version} of "${service}" is attached in slot ${other}; detach it first.`);
  }
}
