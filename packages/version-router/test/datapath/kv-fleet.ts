/** Two nodes that run versions 1 and 2 of a service with the ports below, in the lab. */
import { Lab } from "./lab.ts";
import type { Actor } from "./actor-handle.ts";
import type { LabNode } from "./lab.ts";
import type { DataPath } from "../../datapath/datapath.ts";

export const PEER_TCP = 7000;
export const PEER_UDP = 7001;
/** Takes a stream and answers its hash. */
export const PEER_BULK = 7002;
export const CLIENT_TCP = 80;
export const CLIENT_UDP = 53;
/** As CLIENT_TCP, but takes its time to answer. */
export const CLIENT_SLOW = 81;
/** Nobody listens at it until a test says so. */
export const CLIENT_UDP_SLOW = 54;
export const SLOW_MS = 400;

export const PORTS = {
  peer: [`tcp/${PEER_TCP}`, `udp/${PEER_UDP}`, `tcp/${PEER_BULK}`],
  client: [`tcp/${CLIENT_TCP}`, `udp/${CLIENT_UDP}`, `tcp/${CLIENT_SLOW}`, `udp/${CLIENT_UDP_SLOW}`],
} as const;

export interface Fleet {
  readonly lab: Lab;
  readonly a: LabNode;
  readonly b: LabNode;
  /** Domains of node a by version, then of node b. */
  readonly a1: Actor;
  readonly a2: Actor;
  readonly b1: Actor;
  readonly b2: Actor;
}

/** A domain whose program listens on all ports and calls itself `node<N>-v<version>`. */
export async function serve(
  node: LabNode,
  slot: number,
  version: number,
  make = (): Promise<Actor> => node.domain(slot, version),
): Promise<Actor> {
  const domain = await make();
  await node.call("setPorts", slot, PORTS);
  const name = `node${node.number}-v${version}`;
  await domain.call("tcpServe", PEER_TCP, name);
  await domain.call("tcpServe", PEER_BULK, name, "hash");
  await domain.call("udpServe", PEER_UDP, name);
  await domain.call("tcpServe", CLIENT_TCP, name);
  await domain.call("tcpServe", CLIENT_SLOW, name, "echo", SLOW_MS);
  await domain.call("udpServe", CLIENT_UDP, name);
  return domain;
}

/** `dataPaths`: of node a, then b; the kernel's when it is not named. */
export async function startFleet(...dataPaths: DataPath["kind"][]): Promise<Fleet> {
  const lab = await Lab.create(2, dataPaths);
  try {
    const [a, b] = lab.nodes as [LabNode, LabNode];
    for (const node of lab.nodes) await node.call("setManagedPeers", [a.address, b.address]);
    const domains = {
      a1: await serve(a, 0, 1),
      a2: await serve(a, 1, 2),
      b1: await serve(b, 0, 1),
      b2: await serve(b, 1, 2),
    };
    return { lab, a, b, ...domains };
  } catch (error) {
    await lab.close();
    throw error;
  }
}
