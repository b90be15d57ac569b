/** What the daemon asks of the tables of connections: how many are open to a domain, reset them, forget them. */
import { FLOW, PROTOCOL, ROLE } from "./structs.ts";
import type { Flow as ListedFlow, FlowState } from "../../control/contract.ts";
import type { BpfMap } from "./bpf-map.ts";
import type { Maps } from "./pins.ts";
import type { flow as flowStruct, flowKey as flowKeyStruct } from "./structs.ts";

type FlowKey = ReturnType<typeof flowKeyStruct.decode>;
type Flow = ReturnType<typeof flowStruct.decode>;
type FlowMap = BpfMap<FlowKey, Flow>;

const STATES = Object.keys(FLOW) as readonly FlowState[];

/** A UDP client that says nothing for so long is gone; bpf/tcp.h has the same. */
const UDP_IDLE_NS = 30_000_000_000n;
/** A SYN that was not followed by anything for so long will not be: Linux gives up its answers after 63 s. */
const OPENING_IDLE_NS = 70_000_000_000n;

/** Both tables: proven connections, and those that still open with the clients of datagrams. */
export type FlowMaps = Pick<Maps, "flows" | "tentative">;

/** How many client connections the kernel carries straight to this slot's domain. */
export function countClientFlows(maps: FlowMaps, slot: number, nowNs: bigint): number {
  return tables(maps).reduce((sum, table) => sum + openClients(table, slot, nowNs).length, 0);
}

/** Resets them: TCP ends are told with the next packet of either, UDP clients go where new ones go. */
export function resetClientFlows(maps: FlowMaps, slot: number, nowNs: bigint): number {
  let count = 0;
  for (const table of tables(maps)) {
    for (const [key, flow] of openClients(table, slot, nowNs)) {
      if (key.protocol === PROTOCOL.udp) table.delete(key);
      else table.set(key, { ...flow, state: FLOW.reset });
      count += 1;
    }
  }
  return count;
}

export function forgetFlows(maps: FlowMaps, slot: number): void {
  for (const table of tables(maps)) {
    for (const [key, flow] of table.entries()) {
      if (flow.slot === slot) table.delete(key);
    }
  }
}

/** Every entry that is still in use, of a domain that is there. */
export function* readFlows(maps: Maps, nowNs: bigint): Generator<ListedFlow> {
  const domains = new Map(maps.slots.entries().filter(([, { ifindex }]) => ifindex !== 0));
  for (const table of tables(maps)) {
    for (const [key, flow] of table.entries()) {
      const domain = domains.get(flow.slot);
      const protocol = key.protocol === PROTOCOL.udp ? "udp" : "tcp";
      if (domain === undefined || isExpired(protocol, flow, nowNs)) continue;
      yield {
        service: domain.service,
        version: domain.version,
        protocol,
        kind: flow.role === ROLE.client ? "client" : "peer",
        remoteAddress: key.remote,
        remotePort: key.remote_port,
        localPort: key.local_port,
        // A datagram's sender is never "opening": it has no handshake.
        state: protocol === "udp" ? "open" : (STATES[flow.state] ?? "opening"),
        idleMs: Math.max(0, Number(nowNs - flow.last_seen_ns) / 1e6),
      };
    }
  }
}

function isExpired(protocol: ListedFlow["protocol"], flow: Flow, nowNs: bigint): boolean {
  if (protocol === "udp") return nowNs - flow.last_seen_ns >= UDP_IDLE_NS;
  return flow.state === FLOW.opening && nowNs - flow.last_seen_ns >= OPENING_IDLE_NS;
}

function tables({ flows, tentative }: FlowMaps): readonly FlowMap[] {
  return [flows, tentative];
}

function openClients(table: FlowMap, slot: number, nowNs: bigint): readonly (readonly [FlowKey, Flow])[] {
  return table.entries().filter(([key, flow]) => flow.slot === slot && isOpenClient(key, flow, nowNs));
}

function isOpenClient(key: FlowKey, flow: Flow, nowNs: bigint): boolean {
  if (flow.role !== ROLE.client || flow.state >= FLOW.closed) return false;
  if (key.protocol === PROTOCOL.tcp && flow.state === FLOW.open) return true;
  const idleNs = key.protocol === PROTOCOL.udp ? UDP_IDLE_NS : OPENING_IDLE_NS;
  return nowNs - flow.last_seen_ns < idleNs;
}
