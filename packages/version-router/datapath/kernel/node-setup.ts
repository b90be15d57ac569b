/** What a node has once, whatever its domains: the uplink's program, the gateway's address, NAT, forwarding, config. */
import { RouterError } from "../../errors.ts";
import { hostInterface } from "./addresses.ts";
import * as links from "./links.ts";
import { addNat, removeNat } from "./nat.ts";
import { occupants } from "./slot-table.ts";
import { LAYOUT } from "./structs.ts";
import type { DataPathConfig } from "../datapath.ts";
import type { Maps, Pins } from "./pins.ts";
import type { config as configStruct } from "./structs.ts";

/** As the maps have it. */
const NO_ADDRESS = "::";

type Config = ReturnType<typeof configStruct.decode>;

/** Makes it, or takes it over from an earlier daemon with this release's programs. Throws E_KERNEL. */
export async function setUpNode(
  config: DataPathConfig,
  pins: Pins,
  maps: Maps,
  uplink: links.LinkFacts,
): Promise<void> {
  const before = maps.config.get(0);
  const isFirst = before === undefined || before.layout === 0;
  const address6 = config.serviceAddress6 ?? NO_ADDRESS;
  if (!isFirst) assertSameAddresses(config, before, occupants(maps).length > 0);
  await links.addGateway();
  const wasForwarding = await links.setForwarding(true);
  const hadIpv6 = !isFirst && before.address6 !== NO_ADDRESS;
  const was6 = address6 === NO_ADDRESS || hadIpv6 ? undefined : await forwardIpv6(config.uplink);
  maps.config.set(0, {
    layout: LAYOUT,
    uplink: uplink.ifindex,
    address: config.serviceAddress,
    address6,
    uplink_mtu: uplink.mtu,
    forwarding_was: isFirst ? Number(wasForwarding) : before.forwarding_was,
    forwarding6_was: was6?.forwarding ?? before?.forwarding6_was ?? 0,
    accept_ra_was: was6?.acceptRa ?? before?.accept_ra_was ?? 0,
    pad: undefined,
  });
  await addNat(config.uplink, address6 !== NO_ADDRESS);
  await links.attachPrograms(config.uplink, [{ hook: "ingress", pin: pins.program("uplink_ingress") }]);
  for (const [slot, entry] of occupants(maps)) {
    const name = hostInterface(slot);
    if ((await links.findLink(name))?.ifindex === entry.ifindex) await attachToTap(name, pins);
  }
}

/** Domains that run bear the addresses that they were given. */
function assertSameAddresses(config: DataPathConfig, before: Config, hasDomains: boolean): void {
  const isSame = before.address === config.serviceAddress;
  const isSame6 = before.address6 === (config.serviceAddress6 ?? NO_ADDRESS);
  const mayBegin6 = before.address6 === NO_ADDRESS && !hasDomains;
  if (isSame && (isSame6 || mayBegin6)) return;
  const was = [before.address, before.address6 === NO_ADDRESS ? "no IPv6" : before.address6].join(" and ");
  const wanted = [config.serviceAddress, config.serviceAddress6 ?? "no IPv6"].join(" and ");
  const message = `The pins in ${config.pinDirectory} serve ${was}, not ${wanted}; run "vm-router --destroy" first.`;
  throw new RouterError("E_KERNEL", message);
}

async function forwardIpv6(uplink: string): Promise<{ forwarding: number; acceptRa: number }> {
  const acceptRa = await links.keepAcceptingRoutes(uplink);
  return { acceptRa, forwarding: Number(await links.setForwarding6(true)) };
}

async function restoreIpv6(uplink: string, before: Config): Promise<void> {
  if (before.address6 === NO_ADDRESS) return;
  if (before.forwarding6_was === 0) await links.setForwarding6(false);
  if ((await links.findLink(uplink)) !== undefined)
    await links.restoreAcceptingRoutes(uplink, before.accept_ra_was);
}

/** Attaches the programs of a domain's interface. */
export async function attachToTap(name: string, pins: Pins): Promise<void> {
  await links.attachPrograms(name, [
    { hook: "egress", pin: pins.program("tap_egress") },
    { hook: "ingress", pin: pins.program("tap_ingress") },
  ]);
}

/** Removes all of it, and every domain's interface. `maps` is undefined when there are none (any more). */
export async function tearDownNode(config: DataPathConfig, maps: Maps | undefined): Promise<void> {
  if (maps !== undefined) {
    for (const [slot] of occupants(maps)) await links.deleteLink(hostInterface(slot));
    const before = maps.config.get(0);
    if (before?.forwarding_was === 0) await links.setForwarding(false);
    if (before !== undefined) await restoreIpv6(config.uplink, before);
  }
  if ((await links.findLink(config.uplink)) !== undefined)
    await links.detachProgram(config.uplink, "ingress");
  await removeNat();
  await links.removeGateway();
}
