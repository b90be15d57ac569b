/** What the agent answers on its unix socket. The CLI and the dashboard know nothing else of it. */
import type { CompareGate, ComparisonReport } from "@version-manager/app-proxy/compare";
import type { ClientPath, RouterStatus } from "@version-manager/version-router";
import type { HypervisorKind } from "../domain/hypervisor.ts";
import type { KnownNode, NodeDigest, VersionDigest } from "../fleet/view.ts";
import type { ProxyEventEntry } from "../journal/journal.ts";
import type { LoggedLine } from "../journal/said.ts";
import type { Envelope } from "../release/contract.ts";
import type { ServiceState } from "../service/state.ts";

/** A version as this node knows it. */
export interface VersionStatus extends VersionDigest {
  readonly attempt: number;
  /** What told this node of the version, and who. */
  readonly learnedBy: "seed" | "mark" | "exchange";
  readonly source: string;
  /** Absent before its supervisor has told of it. */
  readonly process?: ServiceState;
  /** By how much the domain's clock is ahead of the node's at least, ms. Absent while nobody has looked. */
  readonly clockOffsetMs?: number;
}

export interface NodeStatus {
  readonly node: string;
  readonly address: string;
  readonly pid: number;
  readonly startedAtMs: number;
  readonly hypervisor: HypervisorKind;
  readonly versions: readonly VersionStatus[];
  /** Absent while the router does not answer. */
  readonly router?: RouterStatus;
  readonly clientPaths: Readonly<Record<string, ClientPath>>;
  /** What proxies told of versions, the last twenty, oldest first. */
  readonly proxyEvents: readonly ProxyEventEntry[];
}

export interface CompareStatus {
  readonly service: string;
  /** The newest version that serves clients, whose release says what is good enough. */
  readonly candidate: number;
  /** Absent: its release asks for nothing. */
  readonly gate?: CompareGate;
  /** Why the gate is not met; empty when it is, or there is none. */
  readonly faults: readonly string[];
  readonly comparisons: readonly ComparisonReport[];
}

export interface FleetStatus {
  /** This node first. */
  readonly nodes: readonly (KnownNode | NodeDigest)[];
}

export interface SeedRequest {
  /** Absolute path of the tarball on this node. */
  readonly file: string;
  readonly envelope: Envelope;
}

export interface AgentApi {
  status(): Promise<NodeStatus>;
  fleet(): Promise<FleetStatus>;
  /** Those that came after the line of this id; without it all that are kept. */
  logs(service: string, version: number, after?: number): Promise<readonly LoggedLine[]>;
  /** Throws E_SIGNATURE, E_RELEASE_UNSIGNED, E_RELEASE_ALTERED, E_VERSION_NOT_NEWER. Seeding again is fine. */
  seed(request: SeedRequest): Promise<VersionStatus>;
  /** Throws E_NO_VERSION when no version of the service serves clients here, E_PROXY. */
  compare(service: string): Promise<CompareStatus>;
  /** Lets a version that was found sick have its say again. Throws E_NO_VERSION, E_NOT_QUARANTINED. */
  readmit(service: string, version: number): Promise<VersionStatus>;
  /** Accepts a signed retirement; throws E_RETIRE_TOO_EARLY and E_COMPARE_GATE unless `force`. */
  retire(envelope: Envelope, force: boolean): Promise<VersionStatus>;
  /** Tries a failed version again from the start. */
  retry(service: string, version: number): Promise<VersionStatus>;
}
