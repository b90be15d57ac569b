/** The chains of the relay's table for nftables: what becomes of packets from domains and from the network. Pure. */
import { GATEWAY, INTERFACE_PREFIX, MANAGEMENT_NETWORK, hostInterface } from "../kernel/addresses.ts";
import { managementAddress } from "../kernel/addresses.ts";
import { packSender } from "../../mark/mark.ts";
import { parsePortSpec } from "../../ports/spec.ts";
import {
  ANY_OF_OPTION,
  HAS_OPTION,
  OF_OPTION_MASK,
  OPTION_ANSWERS,
  TO_DETOUR,
  TO_SOCKETS,
  ofOption,
} from "./firewall-marks.ts";
import type { PortSpec } from "../../control/contract.ts";
import type { RelayDomain, RelayState } from "./state.ts";

export const TABLE = "version_manager_relay";
/** Verdicts that these chains count by themselves for each slot. */
export const SLOT_VERDICTS = ["spoofed", "translated", "no_flow", "wrong_version", "option_stripped"];
/** Whose SYN-ACKs came without the option that they must have, with the connection's mark in conntrack. */
export const STRIPPED_SET = "stripped";

/** Where the relay's sockets listen, on loopback. */
export interface RelayPorts {
  readonly stream: number;
  /** For SYNs with the kernel data path's option. */
  readonly option: number;
  readonly datagram: number;
}

/** Name of the counter of a slot's verdict; `readCounter` in ruleset.ts is its inverse. */
export function counterName(slot: number, verdict: string): string {
  return `s${slot}_${verdict}`;
}

export interface NodeChain {
  readonly name: string;
  /** Type, hook and policy; "" for a chain that others jump to. */
  readonly head: string;
  readonly rules: readonly string[];
}

const SYN_ONLY = "tcp flags & (fin|syn|rst|ack) == syn";
/** Magic and format of a mark at the start of a datagram's payload. */
const UDP_MARKED = "@th,64,16 0x5652 @th,96,8 & 0xf0 == 0x10";
/** The kernel data path's option, which a domain must not bring itself. */
const TCP_MARKED = "tcp option @253,16,16 0x5652";

export function nodeChains(state: RelayState, uplink: string, ports: RelayPorts): readonly NodeChain[] {
  const toStreams = `meta mark set ${TO_SOCKETS} tproxy to 127.0.0.1:${ports.stream} accept`;
  const toDatagrams = `meta mark set ${TO_SOCKETS} tproxy to 127.0.0.1:${ports.datagram} accept`;
  const taps = `"${INTERFACE_PREFIX}*"`;
  return [
    {
      name: "prerouting",
      head: "type filter hook prerouting priority mangle; policy accept;",
      rules: [
        `iifname ${taps} ip daddr != ${GATEWAY} jump from_domain`,
        `iifname "${uplink}" jump from_uplink`,
      ],
    },
    { name: "from_domain", head: "", rules: fromDomain(state, toStreams, toDatagrams) },
    {
      name: "from_uplink",
      head: "",
      rules: fromUplink(state, toStreams, toDatagrams, optionSyns(state, ports)),
    },
    {
      name: "output",
      head: "type route hook output priority mangle; policy accept;",
      rules: optionDetour(state),
    },
    {
      name: "between",
      head: "type filter hook forward priority filter; policy accept;",
      rules: [
        `iifname ${taps} oifname ${taps} drop`,
        `iifname != ${taps} oifname ${taps} ct state new drop`,
        `iifname ${taps} ct state invalid drop`,
        ...countBySlot(state, "translated", ""),
      ],
    },
    {
      name: "source",
      head: "type nat hook postrouting priority srcnat; policy accept;",
      rules: [`ip saddr ${MANAGEMENT_NETWORK} oifname != ${taps} masquerade`],
    },
    {
      name: "to_domain",
      head: "type filter hook postrouting priority 350; policy accept;",
      rules: [
        `ip saddr 169.254.0.0/16 oifname "${uplink}" drop`,
        ...state.domains.map(
          ({ slot }) =>
            `oifname "${hostInterface(slot)}" ip daddr ${managementAddress(slot)} ip daddr set ${state.serviceAddress} accept`,
        ),
        `oifname ${taps} drop`,
      ],
    },
  ];
}

/** A packet that no socket takes because the daemon is away is dropped: nothing of a peer port may leave unmarked. */
function fromDomain(state: RelayState, toStreams: string, toDatagrams: string): readonly string[] {
  const reset = "reject with tcp reset";
  const relayed = (match: string) => [`${match} ${toDatagrams}`, `${match} drop`];
  const answer = "iifname . udp sport @domain_client_udp";
  return [
    `meta l4proto tcp socket transparent 1 meta mark set ${TO_SOCKETS} accept`,
    `${SYN_ONLY} iifname . tcp dport @domain_peer_tcp ${toStreams}`,
    `${SYN_ONLY} iifname . tcp dport @domain_peer_tcp drop`,
    ...countBySlot(state, "no_flow", "iifname . tcp dport @domain_peer_tcp", reset),
    ...countBySlot(state, "no_flow", "iifname . tcp sport @domain_peer_tcp", reset),
    ...countBySlot(
      state,
      "no_flow",
      "tcp flags & (syn|ack) != syn iifname . tcp sport @domain_client_tcp",
      reset,
    ),
    // A peer port of another version or service: nobody else may open it on a managed node, with a mark of its making.
    ...countBySlot(state, "no_flow", "ip daddr @managed tcp dport @peer_tcp", reset),
    ...relayed("iifname . udp dport @domain_peer_udp"),
    ...relayed("iifname . udp sport @domain_peer_udp"),
    `${answer} update @client_flows { ip daddr . udp dport . udp sport } ${toDatagrams}`,
    `${answer} drop`,
    ...countBySlot(state, "spoofed", `meta l4proto udp ip daddr @managed ${UDP_MARKED}`, "drop"),
    ...countBySlot(state, "spoofed", `ip daddr @managed ${TCP_MARKED}`, "drop"),
  ];
}

function fromUplink(
  state: RelayState,
  toStreams: string,
  toDatagrams: string,
  withOption: readonly string[],
): readonly string[] {
  const flow = "update @client_flows { ip saddr . udp sport . udp dport }";
  const relayed = (match: string, to: string) => [`${match} ${to}`, `${match} drop`];
  return [
    "ip saddr 169.254.0.0/16 counter name private_address drop",
    "ip daddr 169.254.0.0/16 counter name private_address drop",
    `ip daddr != ${state.serviceAddress} return`,
    ...withOption,
    ...relayed(`${SYN_ONLY} tcp dport @peer_tcp`, toStreams),
    ...relayed(`${SYN_ONLY} tcp dport @direct_tcp`, toStreams),
    ...relayed("udp dport @peer_udp", toDatagrams),
    ...relayed(`udp sport @peer_udp ${UDP_MARKED}`, toDatagrams),
    ...relayed(`ip saddr . udp sport . udp dport @client_flows ${flow}`, toDatagrams),
    `udp dport @direct_udp ${flow} ${toDatagrams}`,
    "udp dport @direct_udp drop",
  ];
}

const SYN_AND_ACK = "tcp flags & (fin|syn|rst|ack) == (syn|ack)";
const HAS_OPTION_FORM = `ct mark & ${OF_OPTION_MASK} == ${ANY_OF_OPTION}`;

/** The option of this domain's version and service. */
function optionOf({ version, tag }: RelayDomain): string {
  return `${TCP_MARKED} tcp option @253,32,32 ${packSender(version)} tcp option @253,96,16 ${tag}`;
}

/** SYNs and SYN-ACKs from peers with the kernel's data path: taken when they name a version and service of ours. */
function optionSyns(state: RelayState, ports: RelayPorts): readonly string[] {
  const opens = state.domains.flatMap((domain) => {
    const numbers = portNumbers(domain.ports.peer, "tcp");
    const to = `meta mark set ${TO_SOCKETS} tproxy to 127.0.0.1:${ports.option} accept`;
    const match = `${SYN_ONLY} tcp dport { ${numbers.join(", ")} } ${optionOf(domain)}`;
    return numbers.length === 0 ? [] : [`${match} ct mark set ${ofOption(domain.slot)} ${to}`];
  });
  // A wrong answer becomes a reset, so that our own side gives up at once.
  const answers = state.domains.flatMap((domain) => {
    const match = `${SYN_AND_ACK} ct mark ${ofOption(domain.slot)}`;
    const counter = (verdict: string) => `counter name ${counterName(domain.slot, verdict)}`;
    const refuse = "tcp flags set rst|ack accept";
    const remember = `update @${STRIPPED_SET} { ip saddr . ct mark }`;
    return [
      `${match} ${optionOf(domain)} accept`,
      `${match} ${TCP_MARKED} ${counter("wrong_version")} ${refuse}`,
      `${match} ${counter("option_stripped")} ${remember} ${refuse}`,
    ];
  });
  const unknown = `${SYN_ONLY} tcp dport @peer_tcp ${TCP_MARKED}`;
  return [...opens, `${unknown} counter name unknown_version reject with tcp reset`, ...answers];
}

/** SYNs and SYN-ACKs to peers with the kernel's data path get their option on the detour. */
function optionDetour(state: RelayState): readonly string[] {
  return [
    `meta mark ${HAS_OPTION} accept`,
    `${SYN_ONLY} meta mark & ${OF_OPTION_MASK} == ${ANY_OF_OPTION} ct mark set meta mark meta mark set ${TO_DETOUR} accept`,
    // The same addresses and ports may have had that form before.
    `${SYN_ONLY} ${HAS_OPTION_FORM} ct mark set 0`,
    ...state.domains.map(
      ({ slot }) =>
        `${SYN_AND_ACK} meta mark ${OPTION_ANSWERS} ct mark ${ofOption(slot)} ip id set ${slot} meta mark set ${TO_DETOUR} accept`,
    ),
    `${SYN_AND_ACK} meta mark ${OPTION_ANSWERS} drop`,
  ];
}

/** One rule with the counter of each slot's own. */
function countBySlot(state: RelayState, verdict: string, match: string, then = ""): readonly string[] {
  return state.domains.map(({ slot }) =>
    `iifname "${hostInterface(slot)}" ${match} counter name ${counterName(slot, verdict)} ${then}`.trimEnd(),
  );
}

/** Every node has the gateway's address and must not tell the network; a domain is answered under its own address. */
export function arpRules(uplink: string, { domains, serviceAddress }: RelayState): readonly string[] {
  return [
    `table arp ${TABLE}`,
    `delete table arp ${TABLE}`,
    `table arp ${TABLE} {`,
    "  chain input {",
    "    type filter hook input priority filter; policy accept;",
    `    iifname "${uplink}" arp daddr ip ${GATEWAY} drop`,
    "  }",
    "  chain output {",
    "    type filter hook output priority filter; policy accept;",
    ...domains.map(
      ({ slot }) =>
        `    oifname "${hostInterface(slot)}" arp daddr ip ${managementAddress(slot)} arp daddr ip set ${serviceAddress}`,
    ),
    "  }",
    "}",
  ];
}

export function portNumbers(specs: readonly PortSpec[], protocol: string): readonly number[] {
  return specs.flatMap((spec) => {
    const parsed = parsePortSpec(spec);
    return parsed?.protocol === protocol ? [parsed.port] : [];
  });
}
