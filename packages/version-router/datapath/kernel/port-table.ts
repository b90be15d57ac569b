/** Registered ports: the map holds for each port the slots that registered it; this turns sets into entries and back. */
import { RouterError } from "../../errors.ts";
import { PROTOCOL } from "./structs.ts";
import type { PortSet, PortSpec } from "../../control/contract.ts";
import type { BpfMap } from "./bpf-map.ts";
import type { port as portStruct, portKey as portKeyStruct } from "./structs.ts";

type PortKey = ReturnType<typeof portKeyStruct.decode>;
type Port = ReturnType<typeof portStruct.decode>;
export type PortMap = BpfMap<PortKey, Port>;

/** The ports of one slot. */
export function portsOf(ports: PortMap, slot: number): PortSet {
  const bit = 1n << BigInt(slot);
  const entries = ports.entries();
  const having = (role: "peer_slots" | "client_slots"): PortSpec[] =>
    entries.filter(([, port]) => (port[role] & bit) !== 0n).map(([key]) => formatPort(key));
  return { peer: having("peer_slots").toSorted(), client: having("client_slots").toSorted() };
}

/** Replaces the ports of one slot. Throws E_PORT_TAKEN, before any change, when another service has one of them. */
export function replacePorts(ports: PortMap, slot: number, tag: number, wanted: PortSet): void {
  const bit = 1n << BigInt(slot);
  const peer = new Set<string>(wanted.peer);
  const client = new Set<string>(wanted.client);
  const keys = new Map([...peer, ...client].map((spec) => [spec, parsePort(spec)]));
  for (const [spec, key] of keys) {
    const port = ports.get(key);
    if (port !== undefined && port.tag !== tag && ((port.peer_slots | port.client_slots) & ~bit) !== 0n) {
      throw new RouterError(
        "E_PORT_TAKEN",
        `${spec} belongs to another service on this node; choose another port.`,
      );
    }
  }
  for (const [key, port] of ports.entries()) {
    const isWanted = keys.has(formatPort(key));
    if (!isWanted && ((port.peer_slots | port.client_slots) & bit) !== 0n) {
      store(ports, key, {
        ...port,
        peer_slots: port.peer_slots & ~bit,
        client_slots: port.client_slots & ~bit,
      });
    }
  }
  for (const [spec, key] of keys) {
    const port = ports.get(key) ?? { peer_slots: 0n, client_slots: 0n, tag, pad: undefined };
    store(ports, key, {
      ...port,
      tag,
      peer_slots: peer.has(spec) ? port.peer_slots | bit : port.peer_slots & ~bit,
      client_slots: client.has(spec) ? port.client_slots | bit : port.client_slots & ~bit,
    });
  }
}

function store(ports: PortMap, key: PortKey, port: Port): void {
  if (port.peer_slots === 0n && port.client_slots === 0n) ports.delete(key);
  else ports.set(key, port);
}

function formatPort(key: PortKey): PortSpec {
  return `${key.protocol === PROTOCOL.tcp ? "tcp" : "udp"}/${key.port}`;
}

function parsePort(spec: string): PortKey {
  const [, protocol, digits] = /^(tcp|udp)\/(\d{1,5})$/.exec(spec) ?? [];
  const port = Number(digits);
  if (protocol === undefined || !(port >= 1 && port <= 65_535)) {
    throw new RouterError("E_BAD_REQUEST", `"${spec}" is no port; write it like tcp/7000.`);
  }
  return { port, protocol: protocol === "tcp" ? PROTOCOL.tcp : PROTOCOL.udp, pad: undefined };
}
