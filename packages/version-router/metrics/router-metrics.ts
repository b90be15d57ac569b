/** What the router tells Prometheus about itself. Pure: made from its status and the gossip core's counts. */
import type { PeerCounter, RouterStatus } from "../control/contract.ts";
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
  /** At most 8,192. */
  readonly peers: readonly PeerCounter[];
  readonly facts: FactCounts;
  readonly exchange: Readonly<ExchangeCounts>;
  /** Open event streams. */
  readonly listeners: number;
  /** Traces under way. */
  readonly tracers: number;
}

export function routerMetrics({
  status,
  peers,
  facts,
  exchange,
  listeners,
  tracers,
}: RouterFigures): Metric[] {
  const pathCode = { closed: 0, direct: 1, proxy: 2 } as const;
  return [
    gauge("start_time_seconds", "When the daemon started, seconds since 1970.", status.startedAtMs / 1000),
    ...packetMetrics(status, peers),
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
    gauge("traces", "Traces under way.", tracers),
  ];
}

function packetMetrics({ counters, warnings = [] }: RouterStatus, peers: readonly PeerCounter[]): Metric[] {
  return [
    {
      name: "version_router_packets_total",
      type: "counter",
      help: "Packets by verdict of the data path.",
      samples: counters.map(({ service, version, verdict, packets }) => ({
        labels: { service, version, verdict },
        value: packets,
      })),
    },
    {
      name: "version_router_bytes_total",
      type: "counter",
      help: "Bytes by verdict of the data path.",
      samples: counters.map(({ service, version, verdict, bytes }) => ({
        labels: { service, version, verdict },
        value: bytes,
      })),
    },
    {
      name: "version_router_peer_packets_total",
      type: "counter",
      help: "Packets by managed peer and verdict, of the peers last spoken with.",
      samples: peers.map(({ peerAddress, service, version, verdict, packets }) => ({
        labels: { peer: peerAddress, service, version, verdict },
        value: packets,
      })),
    },
    {
      name: "version_router_option_stripped_peers",
      type: "gauge",
      help: "Managed peers whose TCP connections lost their mark on the way, within ten minutes.",
      samples: [{ value: new Set(warnings.map(({ peerAddress }) => peerAddress)).size }],
    },
  ];
}

function gauge(name: string, help: string, value: number): Metric {
  return { name: `version_router_${name}`, type: "gauge", help, samples: [{ value }] };
}

function counter(name: string, help: string, value: number): Metric {
  return { name: `version_router_${name}`, type: "counter", help, samples: [{ value }] };
}
