/** What sort of packet a case is, as far as its frame tells. Pure; for the count at the end of a run. */
import { findTcpMark } from "../../../mark/index.ts";
import { isMapped } from "./model/address.ts";
import { ethertype, readIp, readTcp, readUdp } from "./model/frame.ts";
import { PROTOCOL } from "./model/world.ts";
import type { Ip } from "./model/frame.ts";
import type { PacketStep } from "./steps.ts";

const SYN = 0x02;
const ETHER_TYPES: Readonly<Record<number, string>> = {
  0x0800: "cut IPv4",
  0x0806: "ARP",
  0x86dd: "cut IPv6",
  0x8100: "VLAN",
};
const NEIGHBOUR_TYPES: readonly number[] = [133, 134, 135, 136, 137];

const HOOKS = { tap_ingress: "from a domain", tap_egress: "to a domain", uplink_ingress: "from the network" };

export function kindOf({ program, gsoSize, frame }: PacketStep): string {
  return `${gsoSize > 0 ? "to be cut, " : ""}${contentOf(frame)} ${HOOKS[program]}`;
}

function contentOf(frame: Buffer): string {
  const ip = readIp(frame);
  if (ip === undefined) return ETHER_TYPES[ethertype(frame)] ?? "other frame";
  const family = ip.isV6 ? "IPv6" : "IPv4";
  if (!ip.isWhole) return `broken ${family}`;
  if (ip.isFragment) return `${family} fragment`;
  if (ip.hasExtension) return "IPv6 with an extension header";
  if (ip.isV6 && (isMapped(ip.from) || isMapped(ip.to))) return "IPv6 of a mapped address";
  return `${family} ${layer4Of(frame, ip)}`;
}

function layer4Of(frame: Buffer, ip: Ip): string {
  if (ip.protocol === PROTOCOL.udp) return datagramOf(frame, ip);
  if (ip.protocol === PROTOCOL.tcp) return segmentOf(frame, ip);
  if (ip.protocol !== (ip.isV6 ? PROTOCOL.icmp6 : PROTOCOL.icmp)) return "other protocol";
  return ip.isV6 && NEIGHBOUR_TYPES.includes(frame[ip.l4] ?? 0) ? "neighbour discovery" : "ICMP";
}

function datagramOf(frame: Buffer, ip: Ip): string {
  const udp = readUdp(frame, ip);
  if (udp === undefined || ip.l4Bytes < 8) return "cut UDP";
  return `${udp.mark === undefined ? "" : "marked "}UDP${udp.lacksSum ? " without a sum" : ""}`;
}

function segmentOf(frame: Buffer, ip: Ip): string {
  const tcp = readTcp(frame, ip);
  if (tcp === undefined || ip.l4Bytes < 20) return "cut TCP";
  if ((tcp.flags & SYN) === 0) return "TCP segment";
  const end = Math.min(14 + ip.headerBytes + ip.l4Bytes, ip.l4 + tcp.headerBytes);
  return findTcpMark(frame.subarray(ip.l4 + 20, end)) === undefined ? "SYN" : "marked SYN";
}
