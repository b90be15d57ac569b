/**
 * How a domain learns who it is: virtual machines from the kernel's command line (`vm.hostname=…`), containers from
 * the environment of their first program (`VM_HOSTNAME=…`). `../../image/base/files/sbin/vm-init` reads both. Pure.
 */
import { AgentError } from "../../errors.ts";
import type { DomainIdentity } from "../hypervisor.ts";

/** `COMMAND_LINE_SIZE` of x86 with its closing zero; Linux cuts off silently what is longer. */
const COMMAND_LINE_BYTES_MAX = 2047;

/** By their names in lower case. The key is a line with blanks, so it goes as base64. */
export function identityFacts(identity: DomainIdentity): readonly (readonly [string, string])[] {
  const { link } = identity;
  const [low, high] = link.ephemeralPorts;
  return [
    ["hostname", identity.hostname],
    ["address", link.address],
    ["gateway", link.gateway],
    ...ipv6Facts(identity),
    ["mtu", String(link.mtu)],
    ["mac", link.mac],
    ["ports", `${low}-${high}`],
    ["service", identity.service],
    ["version", String(identity.version)],
    ["key", Buffer.from(identity.authorizedKey, "utf8").toString("base64")],
  ];
}

/** Of a node that has an IPv6 address. */
function ipv6Facts({ link }: DomainIdentity): readonly (readonly [string, string])[] {
  const { address6, gateway6 } = link;
  if (address6 === undefined || gateway6 === undefined) return [];
  return [
    ["address6", address6],
    ["gateway6", gateway6],
  ];
}

/** Throws E_DOMAIN when a fact has blanks or quotes, or the line is longer than Linux reads. */
export function kernelCommandLine(fixed: readonly string[], identity: DomainIdentity): string {
  const words = identityFacts(identity).map(([name, value]) => `vm.${name}=${value}`);
  const bad = words.find((word) => /[\s"']/.test(word));
  if (bad !== undefined) {
    throw new AgentError(
      "E_DOMAIN",
      `${JSON.stringify(bad)} cannot stand on a kernel command line; remove the blanks.`,
    );
  }
  const line = [...fixed, ...words].join(" ");
  if (Buffer.byteLength(line) <= COMMAND_LINE_BYTES_MAX) return line;
  throw new AgentError(
    "E_DOMAIN",
    `The kernel command line exceeds ${COMMAND_LINE_BYTES_MAX} bytes; use a shorter key.`,
  );
}

export function containerEnvironment(identity: DomainIdentity): readonly (readonly [string, string])[] {
  return identityFacts(identity).map(([name, value]) => [`VM_${name.toUpperCase()}`, value]);
}
