/** The data path without eBPF: TPROXY and sockets of the router's process, as in CMU-CS-05-190, §3.2. */
export { probeRelayDataPath } from "./probe.ts";
export { createRelayDataPath } from "./relay-data-path.ts";
export type { RelayConfig } from "./relay-data-path.ts";
