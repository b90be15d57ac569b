/** Interfaces, routes and attached programs, by ip(8) and tc(8). All in the network namespace of this process. */
import { readFile, writeFile } from "node:fs/promises";
import { setTimeout } from "node:timers/promises";
import { RouterError } from "../../errors.ts";
import { GATEWAY } from "./addresses.ts";
import { run, runBatch, succeeds } from "./command.ts";
import type { LinkKind } from "../../control/contract.ts";

/** Our filter's place among others on an interface. */
const PREFERENCE = "4077";

export interface LinkFacts {
  readonly ifindex: number;
  readonly mtu: number;
  /** Set when the other end of a veth pair is in another namespace; -1 when that namespace is on its way out. */
  readonly link_netnsid?: number;
}

/** A dead container's namespace, and with it the pair, goes a little later than its last process. */
const VANISH_MS = 300;
const VANISH_POLL_MS = 25;

/** Undefined when there is no such interface. */
export async function findLink(name: string): Promise<LinkFacts | undefined> {
  let json: string;
  try {
    json = await run("ip", ["-json", "link", "show", "dev", name]);
  } catch {
    return undefined;
  }
  const [link] = JSON.parse(json) as readonly LinkFacts[];
  return link;
}

/** True when the interface is there to stay: not one whose container has just died. */
export async function isLastingLink(name: string, ifindex: number): Promise<boolean> {
  for (let waitedMs = 0; waitedMs <= VANISH_MS; waitedMs += VANISH_POLL_MS) {
    const link = await findLink(name);
    if (link?.ifindex !== ifindex || link.link_netnsid === -1) return false;
    if (link.link_netnsid === undefined) return true;
    await setTimeout(VANISH_POLL_MS);
  }
  return true;
}

/** What a domain's link is made of. */
export interface LinkPlan {
  readonly kind: LinkKind;
  readonly name: string;
  /** The other end of a veth pair. */
  readonly guestName: string;
  readonly guestMac: string;
  readonly hostMac: string;
  readonly guestMtu: number;
  readonly hostMtu: number;
  readonly managementAddress: string;
  /** Of nodes that have an IPv6 address. */
  readonly managementAddress6?: string | undefined;
}

/** Makes the interface with its route, up. Nothing is left when it throws. */
export async function createLink(plan: LinkPlan): Promise<number> {
  const { name, guestName } = plan;
  const steps: readonly (readonly string[])[] = [
    plan.kind === "tap"
      ? ["tuntap", "add", "dev", name, "mode", "tap", "vnet_hdr"]
      : [
          "link",
          "add",
          name,
          "mtu",
          `${plan.hostMtu}`,
          "type",
          "veth",
          "peer",
          "name",
          guestName,
          "address",
          plan.guestMac,
          "mtu",
          `${plan.guestMtu}`,
        ],
    [
      "link",
      "set",
      "dev",
      name,
      "address",
      plan.hostMac,
      "mtu",
      `${plan.hostMtu}`,
      "addrgenmode",
      "none",
      "up",
    ],
    neighbour(plan, plan.managementAddress),
    ["route", "replace", `${plan.managementAddress}/32`, "dev", name, "src", GATEWAY],
    ...routes6(plan),
  ];
  try {
    await runBatch("ip", steps);
    const link = await findLink(name);
    if (link === undefined)
      throw new RouterError("E_KERNEL", `The interface ${name} vanished; attach it again.`);
    return link.ifindex;
  } catch (error) {
    await deleteLink(name);
    throw error;
  }
}

function neighbour({ guestMac, name }: LinkPlan, address: string): readonly string[] {
  return ["neighbour", "replace", address, "lladdr", guestMac, "dev", name, "nud", "permanent"];
}

function routes6(plan: LinkPlan): readonly (readonly string[])[] {
  const { name, managementAddress6: address } = plan;
  if (address === undefined) return [];
  return [neighbour(plan, address), ["route", "replace", `${address}/128`, "dev", name]];
}

export async function deleteLink(name: string): Promise<void> {
  if ((await findLink(name)) === undefined) return;
  // A veth pair goes by itself when its container dies: gone in between is as good.
  if (await succeeds("ip", ["link", "delete", "dev", name])) return;
  if ((await findLink(name)) === undefined) return;
  throw new RouterError("E_KERNEL", `The interface ${name} cannot be deleted; see "ip link show ${name}".`);
}

/** A pinned program and where it goes. */
export interface Attachment {
  readonly hook: "ingress" | "egress";
  readonly pin: string;
}

/** Attaches pinned programs, in place of earlier ones without a gap. */
export async function attachPrograms(name: string, attachments: readonly Attachment[]): Promise<void> {
  const filters = attachments.map(({ hook, pin }) => {
    const place = ["dev", name, hook, "pref", PREFERENCE, "protocol", "all", "handle", "1"];
    return ["filter", "replace", ...place, "bpf", "direct-action", "object-pinned", pin];
  });
  const qdisc = (await hasClsact(name)) ? [] : [["qdisc", "add", "dev", name, "clsact"]];
  await runBatch("tc", [...qdisc, ...filters]);
}

/** Takes our program off, and the qdisc when nobody else uses it. */
export async function detachProgram(name: string, hook: "ingress" | "egress"): Promise<void> {
  if (!(await hasClsact(name))) return;
  await succeeds("tc", ["filter", "delete", "dev", name, hook, "pref", PREFERENCE]);
  const left = await Promise.all(
    ["ingress", "egress"].map((side) => run("tc", ["filter", "show", "dev", name, side])),
  );
  if (left.every((text) => text.trim() === "")) await run("tc", ["qdisc", "delete", "dev", name, "clsact"]);
}

async function hasClsact(name: string): Promise<boolean> {
  return (await run("tc", ["qdisc", "show", "dev", name])).includes("qdisc clsact");
}

/** The gateway's address exists on every node, on lo: domains reach it through their program, nobody else can. */
export async function addGateway(): Promise<void> {
  await run("ip", ["address", "replace", `${GATEWAY}/32`, "dev", "lo"]);
}

export async function removeGateway(): Promise<void> {
  await succeeds("ip", ["address", "delete", `${GATEWAY}/32`, "dev", "lo"]);
}

const FORWARDING = "/proc/sys/net/ipv4/ip_forward";
const FORWARDING6 = "/proc/sys/net/ipv6/conf/all/forwarding";
/** The values of accept_ra: a node that forwards heeds routers' advertisements only with the second. */
const ACCEPT_RA = { always: 2, unlessForwarding: 1 } as const;

/** Sets forwarding of this namespace; returns what it was. */
export async function setForwarding(enabled: boolean): Promise<boolean> {
  return (await exchange(FORWARDING, enabled ? 1 : 0)) === 1;
}

/** The same for IPv6. */
export async function setForwarding6(enabled: boolean): Promise<boolean> {
  return (await exchange(FORWARDING6, enabled ? 1 : 0)) === 1;
}

/**
 * Has the uplink keep the routes that routers advertise, although the node forwards. Returns what accept_ra was; call
 * it before forwarding is set.
 */
export async function keepAcceptingRoutes(uplink: string): Promise<number> {
  const path = acceptRa(uplink);
  const was = await readNumber(path);
  if (was === ACCEPT_RA.unlessForwarding) await writeFile(path, `${ACCEPT_RA.always}`);
  return was;
}

/** Takes that back. */
export async function restoreAcceptingRoutes(uplink: string, was: number): Promise<void> {
  await exchange(acceptRa(uplink), was);
}

function acceptRa(uplink: string): string {
  return `/proc/sys/net/ipv6/conf/${uplink}/accept_ra`;
}

async function readNumber(path: string): Promise<number> {
  return Number((await readFile(path, "utf8")).trim());
}

/** Writes it where it is not so already; returns what it was. */
async function exchange(path: string, value: number): Promise<number> {
  const was = await readNumber(path);
  if (was !== value) await writeFile(path, `${value}`);
  return was;
}
