/** What other programs may build on: the agent's client, releases and keys, images, domains, and SSH into them. */
export * from "./api/contract.ts";
export { AgentClient } from "./api/client.ts";
export { AgentError } from "./errors.ts";
export type { AgentErrorCode } from "./errors.ts";
export { openHypervisor } from "./domain/index.ts";
export type { DomainDisk, DomainSpec, Hypervisor } from "./domain/hypervisor.ts";
export type { NodeDigest, VersionDigest } from "./fleet/view.ts";
export { fleetScreen } from "./cli/screen/timeline.ts";
export { createScreen } from "./cli/screen/terminal.ts";
export type { Screen } from "./cli/screen/terminal.ts";
export { styleFor } from "./cli/screen/style.ts";
export { basePaths, createImageStore } from "./image/index.ts";
export type { ImageStore } from "./image/contract.ts";
export { Journal } from "./journal/journal.ts";
export { packRelease } from "./release/index.ts";
export { generateDomainKey, openSession } from "./remote/index.ts";
export { generateFleetKey, signStatement } from "./trust/index.ts";
