/** What the programs know: the model's own picture of the maps, in which flows and counters change as packets pass. */

import { mapped } from "./address.ts";

export const GATEWAY = mapped(0xa9fe0101);
export const GATEWAY6 = "fe800000000000000000000000000001";
export const PROTOCOL = { icmp: 1, tcp: 6, udp: 17, icmp6: 58 } as const;

export interface Slot {
  readonly ifindex: number;
  readonly version: number;
  readonly tag: number;
  readonly management: string;
  readonly management6: string;
  readonly guestMac: Buffer;
  readonly hostMac: Buffer;
}

export interface Port {
  readonly tag: number;
  /** Numbers of the slots that registered it. */
  readonly peer: ReadonlySet<number>;
  readonly client: ReadonlySet<number>;
}

export interface Service {
  /** Packed; 0: the sender's own version, as running. */
  readonly advertisement: number;
  /** The version that clients are led to, if any. */
  readonly direct: number | undefined;
  readonly allowsUnmanaged: boolean;
}

export type FlowState = "opening" | "open" | "closed" | "refused" | "reset";

export interface Flow {
  slot: number;
  role: "peer" | "client";
  state: FlowState;
  domainFinished: boolean;
  remoteFinished: boolean;
  /** Sequence number of the domain's SYN, once it has sent one. */
  domainSyn: number | undefined;
  /** The remote end has shown that it receives what the domain sends. */
  proven: boolean;
  seenS: number;
}

export interface Count {
  packets: number;
  bytes: number;
}

export interface FlowKey {
  readonly remote: string;
  readonly remotePort: number;
  readonly localPort: number;
  readonly protocol: number;
}

export class World {
  address = "";
  /** Undefined: the node has none. */
  address6: string | undefined;
  uplinkMtu = 0;
  nowS = 0;
  readonly slots = new Map<number, Slot>();
  readonly ports = new Map<string, Port>();
  readonly services = new Map<number, Service>();
  readonly managed = new Set<string>();
  readonly flows = new Map<string, Flow>();
  /** `peer tag version advertisement` of each mark that taught something. */
  readonly heard = new Set<string>();
  /** By `tag version verdict`. */
  readonly counters = new Map<string, Count>();

  slotOfInterface(ifindex: number): readonly [number, Slot] | undefined {
    return [...this.slots].find(([, slot]) => slot.ifindex === ifindex);
  }

  slotOfVersion(tag: number, version: number): readonly [number, Slot] | undefined {
    return [...this.slots].find(([, slot]) => slot.tag === tag && slot.version === version);
  }

  port(protocol: number, port: number): Port | undefined {
    return this.ports.get(portId(protocol, port));
  }

  flow(key: FlowKey): Flow | undefined {
    return this.flows.get(flowId(key));
  }

  count(of: { tag: number; version: number } | undefined, verdict: string, bytes: number): void {
    const id = `${of?.tag ?? 0} ${of?.version ?? 0} ${verdict}`;
    const count = this.counters.get(id) ?? { packets: 0, bytes: 0 };
    count.packets += 1;
    count.bytes += bytes;
    this.counters.set(id, count);
  }

  /** Strangers name any tag they like: only those of services that run here have counters. */
  countTag(tag: number, verdict: string, bytes: number): void {
    this.count({ tag: this.services.has(tag) ? tag : 0, version: 0 }, verdict, bytes);
  }
}

export function portId(protocol: number, port: number): string {
  return `${protocol}/${port}`;
}

export function flowId(key: FlowKey): string {
  return `${key.remote} ${key.remotePort} ${key.localPort} ${key.protocol}`;
}

export function flowKeyOf(id: string): FlowKey {
  const [remote = "", ...numbers] = id.split(" ");
  const [remotePort = 0, localPort = 0, protocol = 0] = numbers.map(Number);
  return { remote, remotePort, localPort, protocol };
}
