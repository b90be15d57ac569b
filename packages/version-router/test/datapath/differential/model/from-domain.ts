/** What becomes of a frame that a domain sends. */
import * as frames from "./frame.ts";
import { ACK, SYN } from "./frame.ts";
import { follow, isLiveDatagramFlow, isOver, mayReplace, startFlow } from "./flows.ts";
import { quotedFlow } from "./icmp.ts";
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
    if (type === frames.ETHERTYPE.ipv6) return this.#drop("ipv6");
    if (type !== frames.ETHERTYPE.ip) return this.#drop("other_protocol");
    const ip = frames.readIp(frame);
    const isWhole = ip !== undefined && ip.isPlain && ip.totalBytes + 14 <= frame.length;
    if (!isWhole || ip.totalBytes < leastBytes(ip.protocol)) return this.#drop("malformed");
    if (ip.from !== this.#world.address) return this.#drop("spoofed");
    if (ip.isFragment) return this.#drop("fragment");
    if (ip.to === GATEWAY) return this.#toStack(ip, "to_host");
    if (isPrivate(ip.to) || ip.to === this.#world.address) return this.#drop("private_address");
    if (ip.protocol === PROTOCOL.tcp) return this.#tcp(ip);
    if (ip.protocol === PROTOCOL.udp) return this.#udp(ip);
    if (ip.protocol === PROTOCOL.icmp) {
      const flow = quotedFlow(this.#world, frame, "domain");
      if (flow?.slot === this.#number) return this.#toUplink(frame, "icmp_error");
    }
    return this.#toStack(ip, "translated");
  }

  #answerArp(): Outcome {
    const frame = this.#frame;
    const isQuestion =
      frame.length >= 42 && frame.readUInt16BE(20) === 1 && frame.readUInt32BE(38) === GATEWAY;
    if (!isQuestion) return { action: "drop", frame };
    const answer = frames.withMacs(frame, frame.subarray(6, 12), this.#slot.hostMac);
    answer.writeUInt16BE(2, 20);
    frame.copy(answer, 32, 22, 28);
    frame.copy(answer, 38, 28, 32);
    this.#slot.hostMac.copy(answer, 22);
    answer.writeUInt32BE(GATEWAY, 28);
    return { action: "redirect", frame: answer };
  }

  #udp(ip: Ip): Outcome {
    const udp = frames.readUdp(this.#frame, ip);
    if (udp === undefined || udp.bytes + 20 !== ip.totalBytes) return this.#drop("malformed");
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
    if (ip.totalBytes + frames.MARK_BYTES > this.#world.uplinkMtu) return this.#drop("too_big");
    return this.#toUplink(frames.withUdpMark(this.#frame, this.#slot, this.#advertised), "marked");
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
    const tcp = frames.readTcp(this.#frame);
    if (tcp === undefined || tcp.isAbsurd || 20 + tcp.headerBytes > ip.totalBytes)
      return this.#drop("malformed");
    const isSyn = (tcp.flags & SYN) !== 0;
    if (isSyn && frames.tcpMark(this.#frame, tcp) !== undefined) return this.#drop("spoofed");
    const key = { remote: ip.to, remotePort: tcp.to, localPort: tcp.from, protocol: PROTOCOL.tcp };
    const flow = this.#world.flow(key);
    const from = this.#world.port(PROTOCOL.tcp, tcp.from);
    const isToPeers = this.#isPeer(this.#world.port(PROTOCOL.tcp, tcp.to));
    const opens = isSyn && (tcp.flags & ACK) === 0;
    const opensToPeer = opens && isToPeers;
    if (opensToPeer && mayReplace(this.#world, flow, this.#number)) return this.#open(key, tcp);
    if (flow?.slot === this.#number) return this.#ofFlow(flow, tcp);
    if (flow !== undefined && (opensToPeer || !isOver(this.#world, flow)))
      return this.#reset(tcp, "tuple_in_use");
    if (isToPeers || this.#isPeer(from) || (this.#isClient(from) && !opens))
      return this.#reset(tcp, "no_flow");
    return this.#toStack(ip, "translated");
  }

  #open(key: FlowKey, tcp: Tcp): Outcome {
    const isPlain = this.#allowsUnmanaged && !this.#world.managed.has(key.remote);
    const outcome = isPlain ? this.#toUplink(this.#frame, "client_out") : this.#mark(tcp);
    const isSent = outcome.frame.readUInt32BE(30) === key.remote;
    if (isSent)
      startFlow(this.#world, key, this.#number, isPlain ? "client" : "peer").domainSyn = tcp.sequence;
    return outcome;
  }

  #ofFlow(flow: Flow, tcp: Tcp): Outcome {
    if (flow.state === "refused") return this.#reset(tcp, "reset");
    if (flow.state === "reset") {
      flow.state = "refused";
      return this.#toUplink(frames.asReset(this.#frame), "reset");
    }
    follow(this.#world, flow, tcp, "domain");
    if (flow.role === "client") return this.#toUplink(this.#frame, "client_out");
    return tcp.flags & SYN ? this.#mark(tcp) : this.#toUplink(this.#frame, "peer_tcp_out");
  }

  #mark(tcp: Tcp): Outcome {
    const marked = frames.withTcpMark(this.#frame, tcp, this.#slot, this.#advertised);
    return marked === undefined ? this.#reset(tcp, "no_room") : this.#toUplink(marked, "marked");
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
    const frame = frames.withAddress(this.#frame, ip.protocol, 26, this.#slot.management);
    if (frame === undefined) return this.#drop("kernel_error");
    this.#count(verdict, frame);
    return { action: "pass", frame };
  }

  /** A reset is never answered by one. */
  #reset(tcp: Tcp, verdict: string): Outcome {
    if (tcp.flags & frames.RST) return this.#drop(verdict);
    const frame = frames.resetFor(this.#frame, tcp);
    this.#count(verdict, frame);
    return { action: "redirect", frame };
  }
}

function leastBytes(protocol: number): number {
  return protocol === PROTOCOL.tcp ? 40 : protocol === PROTOCOL.udp ? 28 : 20;
}

/** 0/8, 127/8, 169.254/16, multicast, broadcast. */
function isPrivate(address: number): boolean {
  const first = address >>> 24;
  return first === 0 || first === 127 || first >= 224 || address >>> 16 === 0xa9fe;
}
