/** What a sequence is made of: packets for the programs, and changes such as the daemon makes between them. */
import { UDP_IDLE_S } from "./model/flows.ts";
import { flowKeyOf, portId, PROTOCOL } from "./model/world.ts";
import type { Flow, Port, Service, Slot, World } from "./model/world.ts";

export type ProgramName = "tap_ingress" | "tap_egress" | "uplink_ingress";

/** Well-formed, such with bytes changed or cut off, what another node might answer, or noise. */
export type Origin = "well-formed" | "mutated" | "answer" | "random";

export interface PacketStep {
  readonly kind: "packet";
  readonly origin?: Origin;
  readonly program: ProgramName;
  readonly ifindex: number;
  /** Segment size, when the packet is left to be cut by the network card; else 0. */
  readonly gsoSize: number;
  readonly frame: Buffer;
}

export type PortName = `${"tcp" | "udp"}/${number}`;

export type Change =
  | { readonly kind: "occupy"; readonly number: number; readonly slot: Slot }
  | { readonly kind: "vacate"; readonly number: number }
  | {
      readonly kind: "ports";
      readonly number: number;
      readonly tag: number;
      readonly peer: readonly PortName[];
      readonly client: readonly PortName[];
    }
  | { readonly kind: "service"; readonly tag: number; readonly service: Service }
  | { readonly kind: "address6"; readonly address: string | undefined }
  | { readonly kind: "managed"; readonly address: string; readonly isManaged: boolean }
  | { readonly kind: "age"; readonly seconds: number }
  | { readonly kind: "resetClients"; readonly number: number };

export type Step = PacketStep | Change;

export function changeModel(world: World, change: Change): void {
  switch (change.kind) {
    case "occupy":
      world.slots.set(change.number, change.slot);
      return;
    case "vacate":
      world.slots.delete(change.number);
      replacePorts(world, change.number, 0, [], []);
      for (const [id, flow] of world.flows) if (flow.slot === change.number) world.flows.delete(id);
      return;
    case "ports":
      replacePorts(world, change.number, change.tag, change.peer, change.client);
      return;
    case "service":
      world.services.set(change.tag, change.service);
      return;
    case "address6":
      world.address6 = change.address;
      return;
    case "managed":
      if (change.isManaged) world.managed.add(change.address);
      else world.managed.delete(change.address);
      return;
    case "age":
      world.nowS += change.seconds;
      return;
    case "resetClients":
      resetClients(world, change.number);
  }
}

function replacePorts(
  world: World,
  number: number,
  tag: number,
  peer: readonly PortName[],
  client: readonly PortName[],
): void {
  const without = (slots: ReadonlySet<number> = new Set()): number[] =>
    [...slots].filter((slot) => slot !== number);
  const names = [...peer, ...client].map((name) => [name, parse(name)] as const);
  const wanted = new Set(names.map(([, id]) => id));
  for (const [id, port] of world.ports) {
    if (!wanted.has(id)) store(world, id, port.tag, without(port.peer), without(port.client));
  }
  for (const [name, id] of names) {
    const before = world.ports.get(id);
    const peers = [...without(before?.peer), ...(peer.includes(name) ? [number] : [])];
    store(world, id, tag, peers, [...without(before?.client), ...(client.includes(name) ? [number] : [])]);
  }
}

function parse(name: PortName): string {
  const [protocol = "", digits] = name.split("/");
  return portId(protocol === "tcp" ? PROTOCOL.tcp : PROTOCOL.udp, Number(digits));
}

function store(world: World, id: string, tag: number, peer: number[], client: number[]): void {
  const port: Port = { tag, peer: new Set(peer), client: new Set(client) };
  if (peer.length + client.length === 0) world.ports.delete(id);
  else world.ports.set(id, port);
}

function resetClients(world: World, number: number): void {
  for (const [id, flow] of world.flows) {
    if (flow.slot !== number || !isOpenClient(world, flow, flowKeyOf(id).protocol)) continue;
    if (flowKeyOf(id).protocol === PROTOCOL.udp) world.flows.delete(id);
    else flow.state = "reset";
  }
}

function isOpenClient(world: World, flow: Flow, protocol: number): boolean {
  if (flow.role !== "client" || (flow.state !== "open" && flow.state !== "opening")) return false;
  if (protocol === PROTOCOL.tcp && flow.state === "open") return true;
  return world.nowS - flow.seenS < (protocol === PROTOCOL.udp ? UDP_IDLE_S : 70);
}
