/** What becomes of a frame from the network. */
import { packAdvertisement } from "../../../../mark/index.ts";
import * as frames from "./frame.ts";
import { ACK, SYN } from "./frame.ts";
import { follow, isLiveDatagramFlow, isOver, mayReplace, startFlow } from "./flows.ts";
import {
  addressAt,
  isLinkLocal4,
  isLinkLocal6,
  isManagement6,
  isMulticast6,
  isReserved6,
} from "./address.ts";
import { quotedFlow, quotedSlot, withRoomForMark } from "./icmp.ts";
import { flowId, GATEWAY, PROTOCOL } from "./world.ts";
import type { Mark } from "../../../../mark/index.ts";
import type { Ip, Outcome, Tcp, Udp } from "./frame.ts";
import type { Flow, FlowKey, Port, Slot, World } from "./world.ts";

export function fromUplink(world: World, frame: Buffer, gsoSize: number): Outcome {
  return new FromUplink(world, frame, gsoSize).decide();
}

class FromUplink {
  readonly #world: World;
  readonly #frame: Buffer;
  readonly #gsoSize: number;

  constructor(world: World, frame: Buffer, gsoSize: number) {
    this.#world = world;
    this.#frame = frame;
    this.#gsoSize = gsoSize;
  }

  decide(): Outcome {
    const frame = this.#frame;
    const type = frames.ethertype(frame);
    if (type === frames.ETHERTYPE.arp) {
      const asksForGateway = frame.length >= 42 && addressAt(frame, 38, 4) === GATEWAY;
      return asksForGateway ? { action: "drop", frame } : this.#pass();
    }
    const ip = frames.readIp(frame);
    const own = ip?.isV6 === true ? this.#world.address6 : this.#world.address;
    if (ip === undefined || own === undefined) return this.#pass();
    const isPrivate = ip.isV6 ? isManagement6 : isLinkLocal4;
    if (isPrivate(ip.from) || isPrivate(ip.to)) return this.#drop(undefined, "private_address");
    if (ip.to !== own || !ip.isWhole || (ip.isV6 && (!isRemote6(ip) || ip.from === own))) return this.#pass();
    if (ip.isFragment || ip.hasExtension) {
      this.#world.count(undefined, ip.isFragment ? "fragment" : "extension_header", frame.length);
      return this.#pass();
    }
    if (ip.protocol === PROTOCOL.tcp) return this.#tcp(ip);
    if (ip.protocol === PROTOCOL.udp) return this.#udp(ip);
    return ip.protocol === (ip.isV6 ? PROTOCOL.icmp6 : PROTOCOL.icmp) ? this.#icmp(ip) : this.#pass();
  }

  #icmp(ip: Ip): Outcome {
    const flow = quotedFlow(this.#world, this.#frame, ip, "remote");
    if (flow !== undefined && this.#world.slots.has(flow.slot)) return this.#toSlotOf(flow, "icmp_error");
    const slot = quotedSlot(this.#world, this.#frame, ip);
    if (slot === undefined) return this.#pass();
    this.#count(slot, "icmp_error");
    return deliver(slot, withRoomForMark(this.#frame, ip));
  }

  #udp(ip: Ip): Outcome {
    const udp = frames.readUdp(this.#frame, ip);
    if (udp === undefined) return this.#pass();
    const from = this.#world.port(PROTOCOL.udp, udp.from);
    const to = this.#world.port(PROTOCOL.udp, udp.to);
    const isRegistered = from !== undefined || to !== undefined;
    if (udp.lacksSum) return isRegistered ? this.#drop(undefined, "malformed") : this.#pass();
    if (udp.mark !== undefined) this.#hear(ip.from, udp.mark);
    if (udp.mark !== undefined && isRegistered) return this.#markedDatagram(ip, udp.mark, from, to);
    const isServed = to !== undefined && (to.client.size > 0 || this.#isOpenTo(to, ip.from));
    if (isServed || this.#isOpenTo(from, ip.from))
      return this.#clientDatagram(ip, udp, isServed ? to : undefined);
    if (to !== undefined && hasPeers(to)) {
      this.#world.countTag(to.tag, "unmarked", this.#frame.length);
      return { action: "drop", frame: this.#frame };
    }
    return this.#pass();
  }

  #markedDatagram(ip: Ip, mark: Mark, from: Port | undefined, to: Port | undefined): Outcome {
    const found = this.#world.slotOfVersion(mark.tag, mark.version);
    if (found === undefined) {
      this.#world.countTag(mark.tag, "unknown_version", this.#frame.length);
      return { action: "drop", frame: this.#frame };
    }
    const [number, slot] = found;
    if (from?.peer.has(number) !== true && to?.peer.has(number) !== true) {
      return this.#drop(slot, "port_not_registered");
    }
    if (this.#gsoSize > 0) return this.#drop(slot, "offloaded");
    this.#count(slot, "delivered");
    return deliver(slot, frames.withoutUdpMark(this.#frame, ip));
  }

  #clientDatagram(ip: Ip, udp: Udp, port: Port | undefined): Outcome {
    const key = { remote: ip.from, remotePort: udp.from, localPort: udp.to, protocol: PROTOCOL.udp };
    const flow = this.#world.flow(key);
    if (isLiveDatagramFlow(this.#world, flow)) {
      flow.seenS = this.#world.nowS;
      return this.#toSlotOf(flow, "client_in");
    }
    return this.#toClientDomain(key, port);
  }

  #tcp(ip: Ip): Outcome {
    const tcp = frames.readTcp(this.#frame, ip);
    if (tcp === undefined || tcp.isAbsurd) return this.#pass();
    const key = { remote: ip.from, remotePort: tcp.from, localPort: tcp.to, protocol: PROTOCOL.tcp };
    const flow = this.#world.flow(key);
    const isSyn = (tcp.flags & SYN) !== 0;
    const mark = isSyn ? frames.tcpMark(this.#frame, ip, tcp) : undefined;
    if (mark !== undefined) this.#hear(ip.from, mark);
    if (!isSyn || (tcp.flags & ACK) !== 0)
      return flow === undefined ? this.#pass() : this.#ofFlow(ip, flow, tcp, mark);
    const port = this.#world.port(PROTOCOL.tcp, tcp.to);
    if (port === undefined) {
      if (flow !== undefined && isOver(this.#world, flow)) this.#world.flows.delete(flowId(key));
      return this.#pass();
    }
    if (mark !== undefined) return this.#peerOpens(ip, tcp, mark, port, key, flow);
    if (port.client.size > 0 || this.#isOpenTo(port, ip.from))
      return this.#clientOpens(ip, tcp, port, key, flow);
    return this.#resetStranger(port.tag, ip, tcp, this.#unmarked(ip.from));
  }

  #peerOpens(ip: Ip, tcp: Tcp, mark: Mark, port: Port, key: FlowKey, flow: Flow | undefined): Outcome {
    const found = this.#world.slotOfVersion(mark.tag, mark.version);
    if (found === undefined) return this.#resetStranger(mark.tag, ip, tcp, "unknown_version");
    const [number, slot] = found;
    if (!port.peer.has(number)) return this.#reset(slot, ip, tcp, "port_not_registered");
    const goesOn =
      flow !== undefined && !isOver(this.#world, flow) && flow.slot === number && flow.role === "peer";
    if (!goesOn) {
      if (!mayReplace(this.#world, flow, number)) return this.#reset(slot, ip, tcp, "tuple_in_use");
      startFlow(this.#world, key, number, "peer");
    }
    return this.#toDomain(slot, "delivered");
  }

  #clientOpens(ip: Ip, tcp: Tcp, port: Port, key: FlowKey, flow: Flow | undefined): Outcome {
    if (flow !== undefined && !isOver(this.#world, flow)) {
      if (flow.role === "client") return this.#toSlotOf(flow, "client_in");
      return this.#reset(this.#world.slots.get(flow.slot), ip, tcp, "tuple_in_use");
    }
    // What comes next of it is the host's, unless a domain gets it now.
    this.#world.flows.delete(flowId(key));
    return this.#toClientDomain(key, port);
  }

  /** A segment of a known connection that does not open it. */
  #ofFlow(ip: Ip, flow: Flow, tcp: Tcp, mark: Mark | undefined): Outcome {
    const slot = this.#world.slots.get(flow.slot);
    if (slot === undefined) return this.#pass();
    if (flow.state === "refused" || flow.state === "reset") return this.#reset(slot, ip, tcp, "reset");
    const isSyn = (tcp.flags & SYN) !== 0;
    const mustMatch = isSyn && (flow.role === "peer" || mark !== undefined);
    if (mustMatch && (mark?.tag !== slot.tag || mark.version !== slot.version)) {
      const isOpening = flow.state === "opening";
      const unmarked = isOpening ? this.#unmarked(ip.from) : "unmarked";
      this.#count(slot, mark === undefined ? unmarked : "wrong_version");
      if (!isOpening) return { action: "drop", frame: this.#frame };
      flow.state = "refused";
      return deliver(slot, frames.asReset(this.#frame, ip));
    }
    follow(this.#world, flow, tcp, "remote");
    return this.#toDomain(slot, flow.role === "client" ? "client_in" : isSyn ? "delivered" : "peer_tcp_in");
  }

  #unmarked(remote: string): string {
    return this.#world.managed.has(remote) ? "option_stripped" : "unmarked";
  }

  /** New clients go where the service's path leads; elsewhere than to a domain means to the host. */
  #toClientDomain(key: FlowKey, port: Port | undefined): Outcome {
    const service = port === undefined ? undefined : this.#world.services.get(port.tag);
    if (port === undefined || service?.direct === undefined) return this.#pass();
    const found = this.#world.slotOfVersion(port.tag, service.direct);
    if (found === undefined) return this.#pass();
    const [number, slot] = found;
    const serves = port.client.has(number) || (port.peer.has(number) && this.#isOpenTo(port, key.remote));
    if (!serves) return this.#pass();
    startFlow(this.#world, key, number, "client");
    return this.#toDomain(slot, "client_in");
  }

  #isOpenTo(port: Port | undefined, remote: string): boolean {
    if (port === undefined || !hasPeers(port) || this.#world.managed.has(remote)) return false;
    return this.#world.services.get(port.tag)?.allowsUnmanaged ?? false;
  }

  #hear(peer: string, mark: Mark): void {
    if (mark.advertisement === undefined || !this.#world.services.has(mark.tag)) return;
    this.#world.heard.add(`${peer} ${mark.tag} ${mark.version} ${packAdvertisement(mark.advertisement)}`);
  }

  #toSlotOf(flow: Flow | undefined, verdict: string): Outcome {
    const slot = flow === undefined ? undefined : this.#world.slots.get(flow.slot);
    return slot === undefined ? this.#pass() : this.#toDomain(slot, verdict);
  }

  #toDomain(slot: Slot, verdict: string): Outcome {
    this.#count(slot, verdict);
    return deliver(slot, this.#frame);
  }

  #count(slot: Slot | undefined, verdict: string): void {
    this.#world.count(slot, verdict, this.#frame.length);
  }

  #pass(): Outcome {
    return { action: "pass", frame: this.#frame };
  }

  #drop(slot: Slot | undefined, verdict: string): Outcome {
    this.#count(slot, verdict);
    return { action: "drop", frame: this.#frame };
  }

  #reset(slot: Slot | undefined, ip: Ip, tcp: Tcp, verdict: string): Outcome {
    const outcome = this.#answer(ip, tcp);
    this.#world.count(slot, verdict, outcome.frame.length);
    return outcome;
  }

  #resetStranger(tag: number, ip: Ip, tcp: Tcp, verdict: string): Outcome {
    const outcome = this.#answer(ip, tcp);
    this.#world.countTag(tag, verdict, outcome.frame.length);
    return outcome;
  }

  #answer(ip: Ip, tcp: Tcp): Outcome {
    if (tcp.flags & frames.RST) return { action: "drop", frame: this.#frame };
    return { action: "redirect", frame: frames.resetFor(this.#frame, ip, tcp) };
  }
}

function deliver(slot: Slot, frame: Buffer): Outcome {
  return { action: "redirect", frame: frames.withMacs(frame, slot.guestMac, slot.hostMac) };
}

function hasPeers(port: Port | undefined): boolean {
  return port !== undefined && port.peer.size > 0;
}

/** Whoever has an address of the link only is no peer and no client; but errors may come from there. */
function isRemote6({ from, protocol }: Ip): boolean {
  if (isReserved6(from) || isMulticast6(from)) return false;
  return protocol === PROTOCOL.icmp6 || !isLinkLocal6(from);
}
