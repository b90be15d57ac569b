/** What of a flow table is asked for. Pure; for every data path. */
import type { Flow, FlowFilter, FlowList } from "../control/contract.ts";

export const FLOWS_SHOWN = 1_000;

/** Those that spoke last come first. */
export function selectFlows(all: Iterable<Flow>, filter: FlowFilter): FlowList {
  const { limit = FLOWS_SHOWN } = filter;
  const asked = [...all].filter((flow) => isAskedFor(flow, filter));
  asked.sort((a, b) => a.idleMs - b.idleMs);
  return { flows: asked.slice(0, limit), notShown: Math.max(0, asked.length - limit) };
}

function isAskedFor(flow: Flow, { service, version, peer, protocol }: FlowFilter): boolean {
  return (
    (service === undefined || flow.service === service) &&
    (version === undefined || flow.version === version) &&
    (peer === undefined || flow.remoteAddress === peer) &&
    (protocol === undefined || flow.protocol === protocol)
  );
}
