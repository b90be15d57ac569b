/** Reading and combining port specs, `tcp/7000`. Ports of a set are kept sorted, each once. */
import type { PortSet, PortSpec } from "../control/contract.ts";

export interface ParsedPort {
  readonly protocol: "tcp" | "udp";
  /** 1…65535 */
  readonly port: number;
}

/** Ports that one domain may register, peer and client together; each is an entry in a map of the data path. */
export const PORTS_PER_DOMAIN_MAX = 32;

export const NO_PORTS: PortSet = { peer: [], client: [] };

/** Undefined when the text is no spec. There is one spelling per port: no leading zeros, lower case. */
export function parsePortSpec(text: string): ParsedPort | undefined {
  const match = /^(tcp|udp)\/([1-9][0-9]{0,4})$/.exec(text);
  const port = Number(match?.[2]);
  if (match === null || port > 65_535) return undefined;
  return { protocol: match[1] === "udp" ? "udp" : "tcp", port };
}

export function isPortSpec(text: string): text is PortSpec {
  return parsePortSpec(text) !== undefined;
}

export function unionPorts(a: PortSet, b: PortSet): PortSet {
  return { peer: sorted([...a.peer, ...b.peer]), client: sorted([...a.client, ...b.client]) };
}

export function withoutPorts(from: PortSet, remove: PortSet): PortSet {
  return {
    peer: from.peer.filter((port) => !remove.peer.includes(port)),
    client: from.client.filter((port) => !remove.client.includes(port)),
  };
}

export function samePorts(a: PortSet, b: PortSet): boolean {
  const text = (set: PortSet) => `${sorted(set.peer).join()} ${sorted(set.client).join()}`;
  return text(a) === text(b);
}

function sorted(ports: readonly PortSpec[]): readonly PortSpec[] {
  const order = (spec: PortSpec) => (parsePortSpec(spec)?.port ?? 0) * 2 + (spec.startsWith("udp") ? 1 : 0);
  return [...new Set(ports)].toSorted((a, b) => order(a) - order(b));
}
