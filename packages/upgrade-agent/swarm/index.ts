export type { Download, Swarm } from "./contract.ts";
export { makeTorrent } from "./make-torrent.ts";
export type { SwarmOptions } from "./messages.ts";
export { createSwarm } from "./swarm.ts";
