/** What the router tells Prometheus about itself. Pure: made from its status and the gossip core's counts. */
import type { RouterStatus } from "../control/contract.ts";
import type { FactCounts } from "../gossip/facts.ts";
import type { Metric } from "./prometheus.ts";

/** Direct marks and polls since the daemon started. */
export interface ExchangeCounts {
  sent: number;
  sendFailed: number;
  heard: number;
  /** Datagrams that were no valid direct mark. */
  malformed: number;
  /** Datagrams beyond what is taken per second. */
  overRate: number;
  /** Times that the data path could not be asked or told. */
  dataPathFaults: number;
}

export interface RouterFigures {
  readonly status: RouterStatus;
  readonly facts: FactCounts;
  readonly exchange: Readonly<ExchangeCounts>;
  /** Open event streams. */
  readonly listeners: number;
}

export function routerMetrics({ status, facts, exchange, listeners }: RouterFigures): Metric[] {
  const pathCode = { closed: 0, direct: 1, proxy: 2 } as const;
  return [
    gauge("start_time_seconds", "When the daemon started, seconds since 1970.", status.startedAtMs / 1000),
    {
      name: "version_router_packets_total",
      type: "counter",
      help: "Packets by verdict of the data path.",
      samples: status.counters.map(({ service, version, verdict, packets }) => ({
        labels: { service, version, verdict },
        value: packets,
      })),
    },
    {
      name: "version_router_bytes_total",
      type: "counter",
      help: "Bytes by verdict of the data path.",
      samples: status.counters.map(({ service, version, verdict, bytes }) => ({
        labels: { service, version, verdict },
        value: bytes,
      })),
    },
    {
      name: "version_router_domain_ports",
      type: "gauge",
      help: "Registered ports of an attached domain.",
      samples: status.domains.flatMap(({ service, version, ports }) =>
        (["peer", "client"] as const).map((role) => ({
          labels: { service, version, role },
          value: ports[role].length,
        })),
      ),
    },
    {
      name: "version_router_client_path",
      type: "gauge",
      help: "Where new client connections go: 0 closed, 1 direct, 2 proxy.",
      samples: Object.entries(status.clientPaths).map(([service, path]) => ({
        labels: { service, version: path.kind === "direct" ? path.version : "" },
        value: pathCode[path.kind],
      })),
    },
    {
      name: "version_router_gossip_peers",
      type: "gauge",
      help: "Peers of which something is remembered.",
      samples: [
        { labels: { class: "managed" }, value: facts.managedPeers },
        { labels: { class: "stranger" }, value: facts.strangers },
      ],
    },
    gauge("gossip_facts", "Facts remembered about peers.", facts.facts),
    gauge("gossip_facts_waiting", "Facts that wait for the rate limit.", facts.waiting),
    counter("gossip_refused_total", "Marks dropped because the gossip table was full.", facts.refused),
    counter("direct_marks_sent_total", "Direct marks sent.", exchange.sent),
    counter("direct_marks_failed_total", "Direct marks that could not be sent.", exchange.sendFailed),
    counter("direct_marks_heard_total", "Direct marks taken in.", exchange.heard),
    {
      name: "version_router_direct_marks_dropped_total",
      type: "counter",
      help: "Datagrams at the exchange port that taught nothing.",
      samples: [
        { labels: { reason: "malformed" }, value: exchange.malformed },
        { labels: { reason: "over_rate" }, value: exchange.overRate },
      ],
    },
    counter("data_path_faults_total", "Times that the data path could not be used.", exchange.dataPathFaults),
    gauge("event_listeners", "Open event streams.", listeners),
  ];
}

function gauge(name: string, help: string, value: number): Metric {
  return { name: `version_router_${name}`, type: "gauge", help, samples: [{ value }] };
}

function counter(name: string, help: string, value: number): Metric {
  return { name: `version_router_${name}`, type: "counter", help, samples: [{ value }] };
}
