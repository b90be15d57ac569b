/** Supervision of the proxy processes, one per service that runs in several versions. */
import type { ProxyRequest, ProxySupervisor } from "./contract.ts";
import { isAlive } from "./process-identity.ts";
import { readRecord } from "./record.ts";
import { DEFAULT_SUPERVISION, type SupervisionLimits } from "./limits.ts";
import { ServiceProxy } from "./service-proxy.ts";

export type { ProxyRequest, ProxySupervisor } from "./contract.ts";
export type { ProxyStatus } from "./control-client.ts";
export type { ProxyNews } from "./news.ts";
export type { SupervisionLimits } from "./limits.ts";

export interface ProxySupervisorOptions {
  /** Control sockets and records; absolute, must exist. */
  readonly runDirectory: string;
  /** `proxy-SERVICE.log`; absolute, must exist. */
  readonly logDirectory: string;
  readonly limits?: Partial<SupervisionLimits>;
  /** Told of starts, deaths and replacements. */
  readonly log?: (line: string) => void;
}

export function createProxySupervisor(options: ProxySupervisorOptions): ProxySupervisor {
  const { runDirectory, logDirectory } = options;
  const limits = { ...DEFAULT_SUPERVISION, ...options.limits };
  const log = options.log ?? ((): void => undefined);
  const proxies = new Map<string, ServiceProxy>();
  const of = (service: string): ServiceProxy => {
    const known =
      proxies.get(service) ?? new ServiceProxy({ service, runDirectory, logDirectory, limits, log });
    proxies.set(service, known);
    return known;
  };
  return {
    ensure: (request: ProxyRequest) => of(request.service).ensure(request),
    has(service) {
      if (proxies.get(service)?.wanted === true) return true;
      const record = readRecord(runDirectory, service);
      return record !== undefined && isAlive(record);
    },
    status: (service) => of(service).status(),
    keepOut: (service, versions) => of(service).keepOut(versions),
    news: (service, since, options) => of(service).news(since, options),
    readmit: (service, version) => of(service).readmit(version),
    comparisons: (service) => of(service).comparisons(),
    drainAndStop: (service, deadlineMs) => of(service).drainAndStop(deadlineMs),
    stop: (service) => of(service).stop(),
    close() {
      for (const proxy of proxies.values()) proxy.close();
    },
  };
}
