/** A fleet of nodes on one machine, for the demo, tests, benches and users' own experiments. */
export { down } from "./down.ts";
export type { DownOptions } from "./down.ts";
export { TestbedError } from "./errors.ts";
export type { TestbedErrorCode } from "./errors.ts";
export type { Layout, NodeLayout, NodeName } from "./layout.ts";
export type { KillTarget, ServiceStatus } from "./node/contract.ts";
export type { HypervisorChoice, NodeCommands, UpOptions } from "./options.ts";
export { up } from "./up.ts";
export { attach, commandAt, exec, hold, kill, list, status } from "./use.ts";
export type { At, NodeStatus, Place, TestbedStatus } from "./use.ts";
export type { Output } from "./command.ts";
export { residue } from "./residue.ts";
export type { ResidueEntry, ResidueKind } from "./residue.ts";
