/** What a node has once, whatever its domains: the uplink's program, the gateway's address, NAT, forwarding, config. */
import { RouterError } from "../../errors.ts";
import { hostInterface } from "./addresses.ts";
import * as links from "./links.ts";
import { addNat, removeNat } from "./nat.ts";
import { occupants } from "./slot-table.ts";
import { LAYOUT } from "./structs.ts";
import type { DataPathConfig } from "../datapath.ts";
import type { Maps, Pins } from "./pins.ts";

/** Makes it, or takes it over from an earlier daemon with this release's programs. Throws E_KERNEL. */
export async function setUpNode(
  config: DataPathConfig,
  pins: Pins,
  maps: Maps,
  uplink: links.LinkFacts,
): Promise<void> {
  const before = maps.config.get(0);
  const isFirst = before === undefined || before.layout === 0;
  if (!isFirst && before.address !== config.serviceAddress) {
    const message = `The pins in ${config.pinDirectory} serve ${before.address}, not ${config.serviceAddress}; run "vm-router --destroy" first.`;
    throw new RouterError("E_KERNEL", message);
  }
  await links.addGateway();
  const wasForwarding = await links.setForwarding(true);
  maps.config.set(0, {
    layout: LAYOUT,
    uplink: uplink.ifindex,
    address: config.serviceAddress,
    uplink_mtu: uplink.mtu,
    forwarding_was: isFirst ? Number(wasForwarding) : before.forwarding_was,
    pad: undefined,
  });
  await addNat(config.uplink);
  await links.attachProgram(config.uplink, "ingress", pins.program("uplink_ingress"));
  for (const [slot, entry] of occupants(maps)) {
    const name = hostInterface(slot);
    if ((await links.findLink(name))?.ifindex === entry.ifindex) await attachToTap(name, pins);
  }
}

/** Attaches the programs of a domain's interface. */
export async function attachToTap(name: string, pins: Pins): Promise<void> {
  await links.attachProgram(name, "egress", pins.program("tap_egress"));
  await links.attachProgram(name, "ingress", pins.program("tap_ingress"));
}

/** Removes all of it, and every domain's interface. `maps` is undefined when there are none (any more). */
export async function tearDownNode(config: DataPathConfig, maps: Maps | undefined): Promise<void> {
  if (maps !== undefined) {
    for (const [slot] of occupants(maps)) await links.deleteLink(hostInterface(slot));
    if (maps.config.get(0)?.forwarding_was === 0) await links.setForwarding(false);
  }
  if ((await links.findLink(config.uplink)) !== undefined)
    await links.detachProgram(config.uplink, "ingress");
  await removeNat();
  await links.removeGateway();
}
