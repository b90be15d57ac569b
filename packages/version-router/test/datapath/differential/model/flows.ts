/** The life of a connection as the router sees it. */
import { ACK, FIN, RST, SYN } from "./frame.ts";
import { flowId } from "./world.ts";
import type { Tcp } from "./frame.ts";
import type { Flow, FlowKey, World } from "./world.ts";

export const UDP_IDLE_S = 30;
/** A SYN that nothing followed for so long is forgotten. */
export const OPENING_IDLE_S = 70;
/** Stray segments of a closed connection may arrive for so long: no other version gets its addresses and ports. */
export const QUARANTINE_S = 60;
const PROOF_WINDOW = 0xffff;

export function startFlow(world: World, key: FlowKey, slot: number, role: "peer" | "client"): Flow {
  const flow: Flow = {
    slot,
    role,
    state: "opening",
    domainFinished: false,
    remoteFinished: false,
    domainSyn: undefined,
    proven: false,
    seenS: world.nowS,
  };
  world.flows.set(flowId(key), flow);
  return flow;
}

export function isOver(world: World, flow: Flow): boolean {
  if (flow.state === "opening") return world.nowS - flow.seenS > OPENING_IDLE_S;
  return flow.state !== "open";
}

/** True when a new connection of peers may have the flow's place. */
export function mayReplace(world: World, flow: Flow | undefined, slot: number): boolean {
  if (flow === undefined) return true;
  if (!isOver(world, flow)) return false;
  const isFresh = world.nowS - flow.seenS <= QUARANTINE_S;
  return flow.slot === slot || flow.state !== "closed" || !isFresh;
}

export function isLiveDatagramFlow(world: World, flow: Flow | undefined): flow is Flow {
  return flow !== undefined && world.nowS - flow.seenS < UDP_IDLE_S;
}

export function follow(world: World, flow: Flow, tcp: Tcp, sender: "domain" | "remote"): void {
  const { flags } = tcp;
  flow.seenS = world.nowS;
  if (sender === "domain" && flags & SYN) flow.domainSyn = tcp.sequence;
  if (sender === "remote" && flags & ACK && !(flags & RST) && flow.domainSyn !== undefined) {
    const acknowledged = (tcp.acknowledges - flow.domainSyn - 1) >>> 0;
    if (acknowledged <= PROOF_WINDOW) flow.proven = true;
  }
  if (flags & FIN && sender === "domain") flow.domainFinished = true;
  if (flags & FIN && sender === "remote") flow.remoteFinished = true;
  if (flags & RST || (flow.domainFinished && flow.remoteFinished)) flow.state = "closed";
  else if (!(flags & SYN)) flow.state = "open";
}
