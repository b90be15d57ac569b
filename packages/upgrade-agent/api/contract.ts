/** What the agent answers on its unix socket. The CLI and the dashboard know nothing else of it. */
import type { ClientPath, RouterStatus } from "@version-manager/version-router";
import type { HypervisorKind } from "../domain/hypervisor.ts";
import type { KnownNode, NodeDigest, VersionDigest } from "../fleet/view.ts";
import type { OutputLine } from "../journal/journal.ts";
import type { Envelope } from "../release/contract.ts";

/** A version as this node knows it. */
export interface VersionStatus extends VersionDigest {
  readonly attempt: number;
  /** What told this node of the version, and who. */
  readonly learnedBy: "seed" | "mark" | "exchange";
  readonly source: string;
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
  logs(service: string, version: number): Promise<readonly OutputLine[]>;
  /** Throws E_SIGNATURE, E_RELEASE_UNSIGNED, E_RELEASE_ALTERED, E_VERSION_NOT_NEWER. Seeding again is fine. */
  seed(request: SeedRequest): Promise<VersionStatus>;
  /** Accepts a signed retirement; throws E_RETIRE_TOO_EARLY unless `force`. */
  retire(envelope: Envelope, force: boolean): Promise<VersionStatus>;
  /** Tries a failed version again from the start. */
  retry(service: string, version: number): Promise<VersionStatus>;
}
