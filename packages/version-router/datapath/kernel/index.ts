/** The data path of the product: eBPF on tc. */
export { createKernelDataPath } from "./kernel-data-path.ts";
export { probeKernelDataPath } from "./probe.ts";
export type { Missing, ProbeResult } from "./probe.ts";
