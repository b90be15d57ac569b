/**
 * The relay's rules for nftables, as text for `nft -f`. Pure: what follows from the node's state and nothing else.
 *
 * Tables: `netdev version_manager_sN` on a domain's interface checks what the domain sends and gives it its management
 * address as source, without any state but its rate; `ip version_manager_rates` bounds what it receives (rates.ts); `ip version_manager_relay` hands marked traffic to the relay's
 * sockets (TPROXY), translates the rest, and gives the domain its own address back.
 */
import { GATEWAY, hostInterface, managementAddress } from "../kernel/addresses.ts";
import { SLOT_VERDICTS, STRIPPED_SET, arpRules, counterName, nodeChains, portNumbers } from "./chains.ts";
import { directDomain } from "./state.ts";
import { TABLE } from "./chains.ts";
import { RATES_TABLE, RATE_VERDICT, receiveRuleset, sendRules } from "./rates.ts";
import type { RelayPorts } from "./chains.ts";
import type { RelayDomain, RelayState } from "./state.ts";

/** Verdicts that rules count by themselves; named counters bear them. */
const TAP_VERDICTS = [
  "spoofed",
  "fragment",
  "ipv6",
  "other_protocol",
  "malformed",
  "private_address",
  "to_host",
  RATE_VERDICT,
];

/** No packet of these is ever shown in a trace: rules judge them, not the relay's sockets. */
export const RULE_VERDICTS = [...new Set([...TAP_VERDICTS, ...SLOT_VERDICTS, "private_address"])];

/** So long a peer is remembered whose SYN-ACKs lost their option. */
export const STRIPPED_SECONDS = 600;

export function tapTable(slot: number): string {
  return `version_manager_s${slot}`;
}

/** The slot and verdict that a named counter stands for; slot undefined: packets of no domain. */
export function readCounter(
  table: string,
  name: string,
): { readonly slot: number | undefined; readonly verdict: string } | undefined {
  const ofTap = /^version_manager_s(\d+)$/.exec(table)?.[1];
  if (ofTap !== undefined) return { slot: Number(ofTap), verdict: name };
  if (table !== TABLE && table !== RATES_TABLE) return undefined;
  const [, slot, verdict] = /^s(\d+)_(\w+)$/.exec(name) ?? [];
  return verdict === undefined ? { slot: undefined, verdict: name } : { slot: Number(slot), verdict };
}

/** The rules on one domain's interface. Made with the interface, in place of earlier ones. */
export function tapRuleset(slot: number, serviceAddress: string, networkMbitPerS?: number): string {
  const table = tapTable(slot);
  const management = managementAddress(slot);
  return `
table netdev ${table}
delete table netdev ${table}
table netdev ${table} {
${TAP_VERDICTS.map((verdict) => `  counter ${verdict} { }`).join("\n")}
  chain checks {
    arp operation request arp daddr ip ${GATEWAY} arp saddr ip set ${management} accept
    ether type arp drop
    ether type ip6 counter name ipv6 drop
    ether type != ip counter name other_protocol drop
    ip hdrlength != 5 counter name malformed drop
    ip saddr != ${serviceAddress} counter name spoofed drop
    ip frag-off & 0x3fff != 0 counter name fragment drop
    ip daddr ${GATEWAY} ip saddr set ${management} counter name to_host accept
    ip daddr { 0.0.0.0/8, 127.0.0.0/8, 169.254.0.0/16, 224.0.0.0/3, ${serviceAddress} } counter name private_address drop
    ip saddr set ${management} accept
  }
  chain from_domain {
    type filter hook ingress device "${hostInterface(slot)}" priority 0; policy drop;
${[...sendRules(networkMbitPerS, "checks"), "goto checks"].map((rule) => `    ${rule}`).join("\n")}
  }
}
${receiveRuleset(slot, networkMbitPerS)}`;
}

/** Everything but the managed peers and the clients whose datagrams stay with their domain: those outlive a change. */
export function nodeRuleset(state: RelayState, uplink: string, ports: RelayPorts): string {
  const chains = nodeChains(state, uplink, ports);
  const sets = nodeSets(state);
  const declared = [
    "  set managed { type ipv4_addr; }",
    "  set client_flows { type ipv4_addr . inet_service . inet_service; size 65535; flags dynamic,timeout; timeout 30s; }",
    `  set ${STRIPPED_SET} { type ipv4_addr . mark; size 1024; flags dynamic,timeout; timeout ${STRIPPED_SECONDS}s; counter; }`,
    ...["private_address", "unknown_version"].map((verdict) => `  counter ${verdict} { }`),
    ...state.domains.flatMap(({ slot }) =>
      SLOT_VERDICTS.map((verdict) => `  counter ${counterName(slot, verdict)} { }`),
    ),
    ...sets.map(({ name, type }) => `  set ${name} { type ${type}; }`),
    ...chains.map(({ name, head }) => `  chain ${name} {${head} }`),
  ];
  const filled = sets.filter(({ elements }) => elements.length > 0);
  return [
    `table ip ${TABLE} {`,
    ...declared,
    "}",
    ...chains.map(({ name }) => `flush chain ip ${TABLE} ${name}`),
    ...sets.map(({ name }) => `flush set ip ${TABLE} ${name}`),
    ...filled.map(({ name, elements }) => `add element ip ${TABLE} ${name} { ${elements.join(", ")} }`),
    `table ip ${TABLE} {`,
    ...chains.flatMap(({ name, rules }) => [
      `  chain ${name} {`,
      ...rules.map((rule) => `    ${rule}`),
      "  }",
    ]),
    "}",
    ...arpRules(uplink, state),
    "",
  ].join("\n");
}

export function managedRuleset(managed: readonly string[]): string {
  const fill = managed.length === 0 ? "" : `add element ip ${TABLE} managed { ${managed.join(", ")} }\n`;
  return `flush set ip ${TABLE} managed\n${fill}`;
}

/** The live datagram flows of clients, after some were ended: address, its port, our port. */
export function clientFlowsRuleset(flows: readonly string[]): string {
  const fill = flows.length === 0 ? "" : `add element ip ${TABLE} client_flows { ${flows.join(", ")} }\n`;
  return `flush set ip ${TABLE} client_flows\n${fill}`;
}

interface NodeSet {
  readonly name: string;
  readonly type: string;
  readonly elements: readonly string[];
}

function nodeSets(state: RelayState): readonly NodeSet[] {
  const { domains } = state;
  const byInterface = (role: "peer" | "client", protocol: string) =>
    domains.flatMap(({ slot, ports }) =>
      portNumbers(ports[role], protocol).map((port) => `"${hostInterface(slot)}" . ${port}`),
    );
  const direct = state.services.flatMap((service) => directDomain(state, service) ?? []);
  const numbers = (of: readonly RelayDomain[], role: "peer" | "client", protocol: string) => {
    const all = of.flatMap(({ ports }) => portNumbers(ports[role], protocol));
    return [...new Set(all)].map(String);
  };
  const set = (name: string, type: string, elements: readonly string[]) => ({ name, type, elements });
  return ["tcp", "udp"].flatMap((protocol) => [
    set(`domain_peer_${protocol}`, "ifname . inet_service", byInterface("peer", protocol)),
    set(`domain_client_${protocol}`, "ifname . inet_service", byInterface("client", protocol)),
    set(`peer_${protocol}`, "inet_service", numbers(domains, "peer", protocol)),
    set(`direct_${protocol}`, "inet_service", numbers(direct, "client", protocol)),
  ]);
}
