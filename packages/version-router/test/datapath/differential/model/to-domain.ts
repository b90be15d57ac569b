/** What becomes of a frame that the host or the uplink's program sends to a domain. */
import * as frames from "./frame.ts";
import { GATEWAY6, PROTOCOL } from "./world.ts";
import type { Ip, Outcome } from "./frame.ts";
import type { Slot, World } from "./world.ts";

export function toDomain(world: World, ifindex: number, frame: Buffer): Outcome {
  const drop: Outcome = { action: "drop", frame };
  const found = world.slotOfInterface(ifindex);
  if (found === undefined) return drop;
  const [, slot] = found;
  if (frames.ethertype(frame) === frames.ETHERTYPE.arp) return { action: "pass", frame };
  const ip = frames.readIp(frame);
  const own = ip?.isV6 === true ? world.address6 : world.address;
  if (ip === undefined || own === undefined) return drop;
  if (ip.to === own) return { action: "pass", frame };
  return ip.isV6 ? toDomain6(world, slot, frame, ip, own) : toDomain4(world, slot, frame, ip, own);
}

function toDomain4(world: World, slot: Slot, frame: Buffer, ip: Ip, own: string): Outcome {
  const drop: Outcome = { action: "drop", frame };
  if (ip.to !== slot.management || (frame.readUInt8(14) & 0x0f) !== 5) return drop;
  const changed = frames.withAddress(frame, ip, "to", own);
  if (changed !== undefined) return { action: "pass", frame: changed };
  world.count(slot, "malformed", frame.length);
  return drop;
}

function toDomain6(world: World, slot: Slot, frame: Buffer, ip: Ip, own: string): Outcome {
  const refuse = (verdict: string): Outcome => {
    world.count(slot, verdict, frame.length);
    return { action: "drop", frame };
  };
  if (ip.from === GATEWAY6 && ip.protocol === PROTOCOL.icmp6) return { action: "pass", frame };
  if (ip.to !== slot.management6) return { action: "drop", frame };
  if (ip.hasExtension) return refuse("extension_header");
  if (ip.isFragment && frame.length < 62) return refuse("malformed");
  const changed = frames.withAddress(frame, ip.isFragment ? behindFragmentHeader(frame, ip) : ip, "to", own);
  return changed === undefined ? refuse("malformed") : { action: "pass", frame: changed };
}

function behindFragmentHeader(frame: Buffer, ip: Ip): Ip {
  const isLaterFragment = (frame.readUInt16BE(56) & 0xfff8) !== 0;
  return { ...ip, l4: 62, isLaterFragment, protocol: frame.readUInt8(54) };
}
