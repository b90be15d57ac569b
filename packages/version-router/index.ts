/** What other packages use of the router: its contract, its errors, a client, the codec of its marks, and its probes. */
export * from "./control/client.ts";
export * from "./control/contract.ts";
export * from "./control/verdicts.ts";
export * from "./errors.ts";
export * from "./mark/index.ts";
export { probeKernelDataPath } from "./datapath/kernel/probe.ts";
export type { Missing, ProbeResult } from "./datapath/kernel/probe.ts";
export { probeRelayDataPath } from "./datapath/relay/probe.ts";
