/** What becomes of a frame that a domain sends. */
import * as frames from "./frame.ts";
import { ACK, SYN } from "./frame.ts";
import { follow, isLiveDatagramFlow, isOver, mayReplace, startFlow } from "./flows.ts";
import {
  addressAt,
  bytesOf,
  isLinkLocal6,
  isManagement6,
  isMulticast6,
  isPrivate4,
  isReserved6,
} from "./address.ts";
import { quotedFlow } from "./icmp.ts";
import { answerSolicitation } from "./neighbour.ts";
import { GATEWAY, PROTOCOL } from "./world.ts";
import type { Ip, Outcome, Tcp, Udp } from "./frame.ts";
import type { Flow, FlowKey, Port, Slot, World } from "./world.ts";

export function fromDomain(world: World, ifindex: number, frame: Buffer, gsoSize: number): Outcome {
  const found = world.slotOfInterface(ifindex);
  if (found === undefined) return { action: "drop", frame };
  return new FromDomain(world, found[0], found[1], frame, gsoSize).decide();
}

class FromDomain {
  readonly #world: World;
  readonly #number: number;
  readonly #slot: Slot;
  readonly #frame: Buffer;
  readonly #gsoSize: number;

  constructor(world: World, number: number, slot: Slot, frame: Buffer, gsoSize: number) {
    this.#world = world;
    this.#number = number;
    this.#slot = slot;
    this.#frame = frame;
    this.#gsoSize = gsoSize;
  }

  decide(): Outcome {
    const frame = this.#frame;
    const type = frames.ethertype(frame);
    if (type === frames.ETHERTYPE.arp) return this.#answerArp();
    const isV6 = type === frames.ETHERTYPE.ipv6;
    if (!isV6 && type !== frames.ETHERTYPE.ip) return this.#drop("other_protocol");
    if (isV6 && this.#world.address6 === undefined) return this.#drop("ipv6");
    const ip = frames.readIp(frame);
    if (ip === undefined || !ip.isWhole) return this.#drop("malformed");
    return (isV6 ? this.#refuse6(ip) : this.#refuse4(ip)) ?? this.#go(ip);
  }

  /** Undefined: it may go on. */
  #refuse4(ip: Ip): Outcome | undefined {
    if (ip.l4Bytes < leastBytes(ip.protocol)) return this.#drop("malformed");
    if (ip.from !== this.#world.address) return this.#drop("spoofed");
    if (ip.isFragment) return this.#drop("fragment");
    if (ip.to === GATEWAY) return this.#toStack(ip, "to_host");
    if (isPrivate4(ip.to) || ip.to === this.#world.address) return this.#drop("private_address");
    return undefined;
  }

  #refuse6(ip: Ip): Outcome | undefined {
    const own = this.#world.address6 ?? "";
    if (isMulticast6(ip.to) || isLinkLocal6(ip.to)) {
      const isIcmp = ip.protocol === PROTOCOL.icmp6;
      const answer = isIcmp ? answerSolicitation(this.#frame, own, this.#slot.hostMac) : undefined;
      return answer === undefined ? this.#drop("private_address") : { action: "redirect", frame: answer };
    }
    if (ip.from !== own) return this.#drop("spoofed");
    if (ip.isFragment) return this.#drop("fragment");
    if (ip.hasExtension) return this.#drop("extension_header");
    if (ip.l4Bytes < (ip.protocol === PROTOCOL.icmp6 ? 8 : leastBytes(ip.protocol)))
      return this.#drop("malformed");
    if (isReserved6(ip.to) || isManagement6(ip.to) || ip.to === own) return this.#drop("private_address");
    return undefined;
  }

  #go(ip: Ip): Outcome {
    if (ip.protocol === PROTOCOL.tcp) return this.#tcp(ip);
    if (ip.protocol === PROTOCOL.udp) return this.#udp(ip);
    if (ip.protocol === (ip.isV6 ? PROTOCOL.icmp6 : PROTOCOL.icmp)) {
      const flow = quotedFlow(this.#world, this.#frame, ip, "domain");
      if (flow?.slot === this.#number) return this.#toUplink(this.#frame, "icmp_error");
    }
    return this.#toStack(ip, "translated");
  }

  #answerArp(): Outcome {
    const frame = this.#frame;
    const isQuestion =
      frame.length >= 42 && frame.readUInt16BE(20) === 1 && addressAt(frame, 38, 4) === GATEWAY;
    if (!isQuestion) return { action: "drop", frame };
    const answer = frames.withMacs(frame, frame.subarray(6, 12), this.#slot.hostMac);
    answer.writeUInt16BE(2, 20);
    frame.copy(answer, 32, 22, 28);
    frame.copy(answer, 38, 28, 32);
    this.#slot.hostMac.copy(answer, 22);
    bytesOf(GATEWAY, false).copy(answer, 28);
    return { action: "redirect", frame: answer };
  }

  #udp(ip: Ip): Outcome {
    const udp = frames.readUdp(this.#frame, ip);
    if (udp === undefined || udp.bytes !== ip.l4Bytes || udp.lacksSum) return this.#drop("malformed");
    const from = this.#world.port(PROTOCOL.udp, udp.from);
    const isManaged = this.#world.managed.has(ip.to);
    const isPeers = this.#isPeer(from) || this.#isPeer(this.#world.port(PROTOCOL.udp, udp.to));
    if (isPeers && (isManaged || !this.#allowsUnmanaged)) return this.#peerDatagram(ip, isManaged);
    if (udp.mark !== undefined) return this.#drop("spoofed");
    if (isPeers || this.#isClient(from)) return this.#clientDatagram(ip, udp);
    if (from !== undefined) return this.#drop("port_not_registered");
    return this.#toStack(ip, "translated");
  }

  #peerDatagram(ip: Ip, isManaged: boolean): Outcome {
    if (!isManaged) return this.#drop("unmanaged");
    if (this.#gsoSize > 0) return this.#drop("offloaded");
    if (ip.headerBytes + ip.l4Bytes + frames.MARK_BYTES > this.#world.uplinkMtu) return this.#drop("too_big");
    return this.#toUplink(frames.withUdpMark(this.#frame, ip, this.#slot, this.#advertised), "marked");
  }

  #clientDatagram(ip: Ip, udp: Udp): Outcome {
    const key = { remote: ip.to, remotePort: udp.to, localPort: udp.from, protocol: PROTOCOL.udp };
    const flow = this.#world.flow(key);
    if (!isLiveDatagramFlow(this.#world, flow)) startFlow(this.#world, key, this.#number, "client");
    else if (flow.slot !== this.#number) return this.#drop("tuple_in_use");
    else flow.seenS = this.#world.nowS;
    return this.#toUplink(this.#frame, "client_out");
  }

  #tcp(ip: Ip): Outcome {
    const tcp = frames.readTcp(this.#frame, ip);
    if (tcp === undefined || tcp.isAbsurd || tcp.headerBytes > ip.l4Bytes) return this.#drop("malformed");
    const isSyn = (tcp.flags & SYN) !== 0;
    if (isSyn && frames.tcpMark(this.#frame, ip, tcp) !== undefined) return this.#drop("spoofed");
    const key = { remote: ip.to, remotePort: tcp.to, localPort: tcp.from, protocol: PROTOCOL.tcp };
    const flow = this.#world.flow(key);
    const from = this.#world.port(PROTOCOL.tcp, tcp.from);
    const isToPeers = this.#isPeer(this.#world.port(PROTOCOL.tcp, tcp.to));
    const opens = isSyn && (tcp.flags & ACK) === 0;
    const opensToPeer = opens && isToPeers;
    if (opensToPeer && mayReplace(this.#world, flow, this.#number)) return this.#open(ip, key, tcp);
    if (flow?.slot === this.#number) return this.#ofFlow(ip, flow, tcp);
    if (flow !== undefined && (opensToPeer || !isOver(this.#world, flow)))
      return this.#reset(ip, tcp, "tuple_in_use");
    if (isToPeers || this.#isPeer(from) || (this.#isClient(from) && !opens))
      return this.#reset(ip, tcp, "no_flow");
    return this.#toStack(ip, "translated");
  }

  #open(ip: Ip, key: FlowKey, tcp: Tcp): Outcome {
    const isPlain = this.#allowsUnmanaged && !this.#world.managed.has(key.remote);
    const outcome = isPlain ? this.#toUplink(this.#frame, "client_out") : this.#mark(ip, tcp);
    const isSent = frames.readIp(outcome.frame)?.to === key.remote;
    if (isSent)
      startFlow(this.#world, key, this.#number, isPlain ? "client" : "peer").domainSyn = tcp.sequence;
    return outcome;
  }

  #ofFlow(ip: Ip, flow: Flow, tcp: Tcp): Outcome {
    if (flow.state === "refused") return this.#reset(ip, tcp, "reset");
    if (flow.state === "reset") {
      flow.state = "refused";
      return this.#toUplink(frames.asReset(this.#frame, ip), "reset");
    }
    follow(this.#world, flow, tcp, "domain");
    if (flow.role === "client") return this.#toUplink(this.#frame, "client_out");
    return tcp.flags & SYN ? this.#mark(ip, tcp) : this.#toUplink(this.#frame, "peer_tcp_out");
  }

  #mark(ip: Ip, tcp: Tcp): Outcome {
    const marked = frames.withTcpMark(this.#frame, ip, tcp, this.#slot, this.#advertised);
    return marked === undefined ? this.#reset(ip, tcp, "no_room") : this.#toUplink(marked, "marked");
  }

  get #advertised(): number {
    return this.#world.services.get(this.#slot.tag)?.advertisement ?? 0;
  }

  get #allowsUnmanaged(): boolean {
    return this.#world.services.get(this.#slot.tag)?.allowsUnmanaged ?? false;
  }

  #isPeer(port: Port | undefined): boolean {
    return port?.peer.has(this.#number) ?? false;
  }

  #isClient(port: Port | undefined): boolean {
    return port?.client.has(this.#number) ?? false;
  }

  #count(verdict: string, frame: Buffer): void {
    this.#world.count(this.#slot, verdict, frame.length);
  }

  #drop(verdict: string): Outcome {
    this.#count(verdict, this.#frame);
    return { action: "drop", frame: this.#frame };
  }

  #toUplink(frame: Buffer, verdict: string): Outcome {
    this.#count(verdict, frame);
    return { action: "redirect", frame };
  }

  #toStack(ip: Ip, verdict: string): Outcome {
    const { management, management6 } = this.#slot;
    const frame = frames.withAddress(this.#frame, ip, "from", ip.isV6 ? management6 : management);
    if (frame === undefined) return this.#drop("kernel_error");
    this.#count(verdict, frame);
    return { action: "pass", frame };
  }

  /** A reset is never answered by one. */
  #reset(ip: Ip, tcp: Tcp, verdict: string): Outcome {
    if (tcp.flags & frames.RST) return this.#drop(verdict);
    const frame = frames.resetFor(this.#frame, ip, tcp);
    this.#count(verdict, frame);
    return { action: "redirect", frame };
  }
}

/** Of layer 4. */
function leastBytes(protocol: number): number {
  return protocol === PROTOCOL.tcp ? 20 : protocol === PROTOCOL.udp ? 8 : 0;
}
