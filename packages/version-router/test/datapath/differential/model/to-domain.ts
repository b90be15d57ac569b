/** What becomes of a frame that the host or the uplink's program sends to a domain. */
import * as frames from "./frame.ts";
import type { Outcome } from "./frame.ts";
import type { World } from "./world.ts";

export function toDomain(world: World, ifindex: number, frame: Buffer): Outcome {
  const drop: Outcome = { action: "drop", frame };
  const found = world.slotOfInterface(ifindex);
  if (found === undefined) return drop;
  const [, slot] = found;
  if (frames.ethertype(frame) === frames.ETHERTYPE.arp) return { action: "pass", frame };
  const ip = frames.ethertype(frame) === frames.ETHERTYPE.ip ? frames.readIp(frame) : undefined;
  if (ip === undefined) return drop;
  if (ip.to === world.address) return { action: "pass", frame };
  if (ip.to !== slot.management || (frame.readUInt8(14) & 0x0f) !== 5) return drop;
  const changed = frames.withAddress(frame, ip.isLaterFragment ? 0 : ip.protocol, 30, world.address);
  if (changed !== undefined) return { action: "pass", frame: changed };
  world.count(slot, "malformed", frame.length);
  return drop;
}
