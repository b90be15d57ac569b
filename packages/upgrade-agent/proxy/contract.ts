/** What the life cycle needs of application proxies. */
import type { VersionEndpoints } from "@version-manager/app-proxy/host";
import type { PortSpec } from "@version-manager/version-router";
import type { ComparisonReport } from "@version-manager/app-proxy/compare";
import type { ProxyStatus } from "./control-client.ts";
import type { ProxyNews } from "./news.ts";

export interface ProxyRequest {
  readonly service: string;
  /** Absolute path of the release's module; the directory that it lies in is all that the process can read. */
  readonly modulePath: string;
  /** IPv4 address that clients connect to: the node's service address. */
  readonly address: string;
  /** Client ports. */
  readonly listen: readonly PortSpec[];
  readonly versions: readonly VersionEndpoints[];
}

/** Runs one proxy process per service. The processes outlive the agent, and are found again by the next one. */
export interface ProxySupervisor {
  /**
   * Makes it true that a proxy with this module serves these ports for exactly these versions. Idempotent. A running
   * proxy is kept, told the versions, or replaced without refusing a connection when the module differs. Resolves when
   * it serves, and every request begun under other versions is over.
   *
   * Throws E_PORT_TAKEN, E_PROXY, and E_DEADLINE when requests under the old versions do not end.
   */
  ensure(request: ProxyRequest): Promise<void>;
  /** Whether a proxy process of the service runs or is being restarted, also one that an earlier agent started. */
  has(service: string): boolean;
  /** Undefined when there is none, or it is just being restarted. */
  status(service: string): Promise<ProxyStatus | undefined>;
  /**
   * Versions that are sick: from the next start of a process it keeps them out before it serves. Those that it finds
   * sick itself it keeps out by itself.
   */
  keepOut(service: string, versions: readonly number[]): void;
  /**
   * What the process has to say since the event numbered `after` of that same process; of another process, all. Resolves
   * when there is something, or after `waitMs` with nothing. Undefined when no process runs. Throws E_PROXY.
   */
  news(
    service: string,
    since: { readonly process: string; readonly after: number },
    options: { readonly waitMs: number; readonly signal: AbortSignal },
  ): Promise<ProxyNews | undefined>;
  /** Lets a version have its say again. False when the process did not keep it out, or none runs. */
  readmit(service: string, version: number): Promise<boolean>;
  /** What comparing versions came to; undefined when no process runs. Throws E_PROXY. */
  comparisons(service: string): Promise<readonly ComparisonReport[] | undefined>;
  /**
   * Takes the proxy out: clients' connections end at message boundaries, for at most `deadlineMs` milliseconds; then the
   * process ends. Lead new connections elsewhere before. Returns the connections that were cut. No proxy: 0.
   */
  drainAndStop(service: string, deadlineMs: number): Promise<number>;
  /** Ends the process within seconds. No proxy is fine. */
  stop(service: string): Promise<void>;
  /** Ends the supervision, not the processes. */
  close(): void;
}
