/** The gossip core for those who run it elsewhere than in the router: the simulation of large fleets does. */
export { GossipCore } from "./core.ts";
export type { GossipAction, LocalService } from "./core.ts";
export { decodeDirectMark, encodeDirectMark } from "./direct-mark.ts";
export { DEFAULT_GOSSIP_LIMITS } from "./limits.ts";
