/** What the work of a stage may use: everything that it touches is handed to it here. */
import type { RouterControl } from "@version-manager/version-router";
import type { Hypervisor } from "../../domain/hypervisor.ts";
import type { Spares } from "../../domain/index.ts";
import type { FleetView } from "../../fleet/view.ts";
import type { ImageStore } from "../../image/contract.ts";
import type { Journal } from "../../journal/journal.ts";
import type { ProxySupervisor } from "../../proxy/index.ts";
import type { ReleaseStore } from "../../release/index.ts";
import type { Envelope } from "../../release/contract.ts";
import type { Swarm } from "../../swarm/contract.ts";
import type { Verifier } from "../../trust/index.ts";
import type { AgentConfig } from "../../daemon/config.ts";
import type { Upgrade } from "../machine.ts";

/** Metadata of releases from another node's peer API. */
export interface PeerMetadata {
  release(
    address: string,
    service: string,
    version: number,
  ): Promise<{ envelope: Envelope; torrent: Uint8Array }>;
  retirement(address: string, service: string, version: number): Promise<Envelope>;
}

export interface Progress {
  readonly receivedBytes: number;
  readonly totalBytes: number;
}

export interface WorkContext {
  readonly config: AgentConfig;
  readonly journal: Journal;
  readonly router: RouterControl;
  readonly hypervisor: Hypervisor;
  /** Starts domains, from warm spares where it can. */
  readonly spares: Pick<Spares, "create">;
  readonly images: ImageStore;
  readonly releases: ReleaseStore;
  readonly swarm: Swarm;
  readonly proxies: ProxySupervisor;
  readonly verifier: Verifier;
  readonly peers: PeerMetadata;
  readonly fleet: () => FleetView;
  readonly reportProgress: (upgrade: Upgrade, progress: Progress) => void;
  /** Keeps a line in the journal, for `vm-upgrade logs`. */
  readonly note: (upgrade: Upgrade, source: string, text: string) => void;
  /** Waits; rejects when aborted. */
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
}

/** Idempotent: it may have been cut off anywhere by an earlier death of the agent. */
export type Work = (context: WorkContext, upgrade: Upgrade, signal: AbortSignal) => Promise<void>;

/** Name of the domain and of the disk of a version on this node. */
export function domainName(config: AgentConfig, upgrade: { service: string; version: number }): string {
  return `vm-${config.node}-${upgrade.service}-${upgrade.version}`;
}

/** Addresses of the other nodes, configured or learned. */
export function otherNodes(context: Pick<WorkContext, "config" | "fleet">): string[] {
  const known = new Set([...context.config.peers, ...context.fleet().keys()]);
  known.delete(context.config.serviceAddress);
  return [...known].toSorted();
}
