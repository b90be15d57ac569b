/**
 * Watches for the one thing that must never happen, without asking the model: traffic of one version at another's
 * domain, and marks that a domain has made itself. Knows only the packets, the codecs of `mark/`, and who has which
 * interface and port.
 */
import { decodeUdpMark, findTcpMark } from "../../../mark/index.ts";
import { addressAt } from "./model/address.ts";
import { GATEWAY, PROTOCOL, portId } from "./model/world.ts";
import type { Mark } from "../../../mark/index.ts";
import type { Outcome } from "./model/frame.ts";
import type { Slot, World } from "./model/world.ts";
import type { PacketStep } from "./steps.ts";

const SYN = 2;
const RST = 4;
const ACK = 16;

interface Facts {
  readonly l4: number;
  readonly protocol: number;
  readonly from: string;
  readonly to: string;
  readonly fromPort: number;
  readonly toPort: number;
  readonly flags: number;
  readonly mark: Mark | undefined;
}

export class Judge {
  /** Which version opened a connection, by remote address and both ports. */
  readonly #owners = new Map<string, string>();
  /** Those of them that the domain itself asked for: there the other end may open at the same moment. */
  readonly #asked = new Map<string, string>();
  deliveries = 0;

  /** A sentence when the outcome breaks the promise. */
  verdict(world: World, step: PacketStep, outcome: Outcome): string | undefined {
    if (outcome.action === "drop") return undefined;
    if (step.program === "uplink_ingress") return this.#arrival(world, step, outcome);
    return step.program === "tap_ingress" ? this.#departure(world, step, outcome) : undefined;
  }

  #arrival(world: World, step: PacketStep, { action, frame }: Outcome): string | undefined {
    if (action !== "redirect") return undefined;
    const found = [...world.slots].find(([, slot]) => slot.guestMac.equals(frame.subarray(0, 6)));
    const facts = factsOf(step.frame);
    if (found === undefined || facts === undefined) return undefined;
    this.deliveries += 1;
    const [number, slot] = found;
    const to = world.ports.get(portId(facts.protocol, facts.toPort));
    const serves = to?.client.has(number) === true || to?.peer.has(number) === true;
    const tuple = `${facts.protocol} ${facts.from} ${facts.fromPort} ${facts.toPort}`;
    const isMine = this.#owners.get(tuple) === identity(slot);
    if (facts.protocol === PROTOCOL.udp) {
      if (facts.mark !== undefined)
        return isBy(facts.mark, slot) ? undefined : "a datagram of another version";
      if (!serves && !isMine) return "a datagram to a port that the domain does not serve";
      this.#owners.set(tuple, identity(slot));
      return undefined;
    }
    if (facts.protocol !== PROTOCOL.tcp) return undefined;
    if ((facts.flags & (SYN | ACK)) === SYN) {
      const mayOpen = serves || this.#asked.get(tuple) === identity(slot);
      const isRight = facts.mark === undefined ? mayOpen : isBy(facts.mark, slot);
      this.#owners.set(tuple, identity(slot));
      return isRight ? undefined : "a connection of another version";
    }
    if (!isMine) return "a segment of a connection that the domain does not have";
    const flagsAt = facts.l4 + 13;
    const isRefusal = frame.length > flagsAt && (frame.readUInt8(flagsAt) & RST) !== 0;
    const isAnswer = (facts.flags & SYN) !== 0 && facts.mark !== undefined && !isRefusal;
    return isAnswer && !isBy(facts.mark, slot) ? "an answer of another version" : undefined;
  }

  #departure(world: World, step: PacketStep, { frame }: Outcome): string | undefined {
    const slot = [...world.slots.values()].find(({ ifindex }) => ifindex === step.ifindex);
    const sent = factsOf(step.frame);
    const facts = factsOf(frame);
    const isAnswer = facts === undefined || facts.to === world.address || facts.to === world.address6;
    if (slot === undefined || sent === undefined || isAnswer || facts.to === GATEWAY) return undefined;
    if (sent.flags & SYN || sent.protocol === PROTOCOL.udp) {
      const tuple = `${sent.protocol} ${sent.to} ${sent.toPort} ${sent.fromPort}`;
      if (facts.from === world.address || facts.from === world.address6) {
        this.#owners.set(tuple, identity(slot));
        if ((sent.flags & (SYN | ACK)) === SYN) this.#asked.set(tuple, identity(slot));
      }
    }
    return facts.mark === undefined || isBy(facts.mark, slot)
      ? undefined
      : "a mark that the domain has made itself";
  }
}

function identity(slot: Slot): string {
  return `${slot.tag} ${slot.version}`;
}

function isBy(mark: Mark, slot: Slot): boolean {
  return mark.tag === slot.tag && mark.version === slot.version;
}

/** As the receiver of a frame would read it. */
function factsOf(frame: Buffer): Facts | undefined {
  const type = frame.readUInt16BE(12);
  const isV6 = type === 0x86dd;
  const l4 = isV6 ? 54 : 34;
  if (frame.length < l4 + 8 || (!isV6 && type !== 0x0800)) return undefined;
  if (isV6 ? frame.readUInt8(14) >>> 4 !== 6 : frame[14] !== 0x45) return undefined;
  const protocol = frame.readUInt8(isV6 ? 20 : 23);
  const end = Math.min(frame.length, isV6 ? 54 + frame.readUInt16BE(18) : 14 + frame.readUInt16BE(16));
  const isTcp = protocol === PROTOCOL.tcp && frame.length >= l4 + 20;
  const flags = isTcp ? frame.readUInt8(l4 + 13) : 0;
  const headerEnd = isTcp ? l4 + (frame.readUInt8(l4 + 12) >>> 4) * 4 : 0;
  const udpEnd = l4 + frame.readUInt16BE(l4 + 4);
  return {
    l4,
    protocol,
    from: isV6 ? addressAt(frame, 22, 16) : addressAt(frame, 26, 4),
    to: isV6 ? addressAt(frame, 38, 16) : addressAt(frame, 30, 4),
    fromPort: frame.readUInt16BE(l4),
    toPort: frame.readUInt16BE(l4 + 2),
    flags,
    mark:
      protocol === PROTOCOL.udp && udpEnd <= end
        ? decodeUdpMark(frame.subarray(l4 + 8, udpEnd))
        : flags & SYN
          ? findTcpMark(frame.subarray(l4 + 20, headerEnd))
          : undefined,
  };
}
