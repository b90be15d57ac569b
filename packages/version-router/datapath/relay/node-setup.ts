/** What the relay makes of its node beside its sockets: routes, the gateway's address, forwarding, nftables' tables. */
import { setTimeout } from "node:timers/promises";
import { INTERFACE_PREFIX, hostInterface } from "../kernel/addresses.ts";
import { run, succeeds } from "../kernel/command.ts";
import * as links from "../kernel/links.ts";
import { TABLE } from "./chains.ts";
import { RATES_TABLE, receiveRuleset } from "./rates.ts";
import {
  DETOUR_INTERFACE,
  TO_DETOUR,
  TO_DETOUR_TABLE,
  TO_SOCKETS,
  TO_SOCKETS_TABLE,
} from "./firewall-marks.ts";
import {
  clientFlowsRuleset,
  managedRuleset,
  nodeRuleset,
  readCounter,
  tapRuleset,
  tapTable,
} from "./ruleset.ts";
import type { DomainLink, LinkKind } from "../../control/contract.ts";
import type { RelayPorts } from "./chains.ts";
import type { RelayState } from "./state.ts";

/** Makes packets with our marks the host's own, whatever their destination, or sends them on the detour. */
export async function addRoutes(uplinkMtu: number): Promise<void> {
  await links.addGateway();
  await run("ip", [
    "link",
    "set",
    "dev",
    DETOUR_INTERFACE,
    "addrgenmode",
    "none",
    "mtu",
    `${uplinkMtu}`,
    "up",
  ]);
  const local = ["local", "0.0.0.0/0", "dev", "lo", "table", `${TO_SOCKETS_TABLE}`];
  await run("ip", ["route", "replace", ...local]);
  const detour = ["default", "dev", DETOUR_INTERFACE, "table", `${TO_DETOUR_TABLE}`];
  await run("ip", ["route", "replace", ...detour]);
  await removeRules();
  for (const rule of RULES) await run("ip", ["rule", "add", ...rule]);
}

const RULES = [
  [TO_SOCKETS, TO_SOCKETS_TABLE],
  [TO_DETOUR, TO_DETOUR_TABLE],
].map(([mark, table]) => ["fwmark", `${mark}`, "lookup", `${table}`, "pref", `${table}`]);

async function removeRules(): Promise<void> {
  for (const rule of RULES) {
    while (await succeeds("ip", ["rule", "delete", ...rule])) await setTimeout(0);
  }
}

export async function applyState(state: RelayState, uplink: string, ports: RelayPorts): Promise<void> {
  await run("nft", ["-f", "-"], nodeRuleset(state, uplink, ports));
}

export async function applyManaged(managed: readonly string[]): Promise<void> {
  await run("nft", ["-f", "-"], managedRuleset(managed));
}

export async function applyClientFlows(flows: readonly string[]): Promise<void> {
  await run("nft", ["-f", "-"], clientFlowsRuleset(flows));
}

/** Puts the rules of a domain's interface in place; the interface must be there. */
export async function guardTap(
  slot: number,
  serviceAddress: string,
  networkMbitPerS: number | undefined,
): Promise<void> {
  await run("nft", ["-f", "-"], tapRuleset(slot, serviceAddress, networkMbitPerS));
}

/** Makes a domain's interface with its rules. Nothing is left when it throws. */
export async function createTap(
  slot: number,
  kind: LinkKind,
  link: DomainLink,
  macs: { readonly host: string; readonly hostMtu: number },
  networkMbitPerS: number | undefined,
): Promise<void> {
  const name = link.interfaceName;
  await links.createLink({
    kind,
    name,
    guestName: link.guestInterfaceName ?? "",
    guestMac: link.mac,
    hostMac: macs.host,
    guestMtu: link.mtu,
    hostMtu: macs.hostMtu,
    managementAddress: link.managementAddress,
  });
  try {
    // Packets get the domain's own address as their last change, and are then sent to whoever bears it on this link.
    const neighbour = [link.address, "lladdr", link.mac, "dev", name, "nud", "permanent"];
    await run("ip", ["neighbour", "replace", ...neighbour]);
    await guardTap(slot, link.address, networkMbitPerS);
  } catch (error) {
    await removeTap(slot);
    throw error;
  }
}

export async function removeTap(slot: number): Promise<void> {
  await succeeds("nft", ["delete", "table", "netdev", tapTable(slot)]);
  await run("nft", ["-f", "-"], receiveRuleset(slot, undefined));
  await links.deleteLink(hostInterface(slot));
}

/** Removes all of it, and every domain's interface. */
export async function tearDown(wasForwarding: boolean): Promise<void> {
  for (const slot of await slotsWithInterfaces()) await removeTap(slot);
  for (const table of [TABLE, RATES_TABLE]) await succeeds("nft", ["delete", "table", "ip", table]);
  await succeeds("nft", ["delete", "table", "arp", TABLE]);
  await removeRules();
  for (const table of [TO_SOCKETS_TABLE, TO_DETOUR_TABLE])
    await succeeds("ip", ["route", "flush", "table", `${table}`]);
  await links.removeGateway();
  if (!wasForwarding) await links.setForwarding(false);
}

async function slotsWithInterfaces(): Promise<readonly number[]> {
  const found = JSON.parse(await run("ip", ["-json", "link", "show"])) as readonly { ifname: string }[];
  return found
    .filter(({ ifname }) => /^\d+$/.test(ifname.slice(INTERFACE_PREFIX.length)))
    .filter(({ ifname }) => ifname.startsWith(INTERFACE_PREFIX))
    .map(({ ifname }) => Number(ifname.slice(INTERFACE_PREFIX.length)));
}

export interface RuleCounter {
  /** Undefined: a packet of no domain. */
  readonly slot: number | undefined;
  readonly verdict: string;
  readonly packets: number;
  readonly bytes: number;
}

interface NftCounter {
  readonly table: string;
  readonly name: string;
  readonly packets: number;
  readonly bytes: number;
}

/** What nftables' rules have counted by themselves. */
export async function ruleCounters(): Promise<readonly RuleCounter[]> {
  const text = await run("nft", ["-j", "list", "counters"]);
  const { nftables } = JSON.parse(text) as { readonly nftables: readonly { counter?: NftCounter }[] };
  return nftables.flatMap(({ counter }) => {
    if (counter === undefined || counter.packets === 0) return [];
    const meaning = readCounter(counter.table, counter.name);
    return meaning === undefined ? [] : [{ ...meaning, packets: counter.packets, bytes: counter.bytes }];
  });
}
