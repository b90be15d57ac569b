/**
 * Who may register which port. Versions of one service share their ports, for that is the point of the router;
 * everyone else must not meet there.
 */
import type { PortSet, PortSpec, VersionKey } from "../control/contract.ts";
import { parsePortSpec } from "./spec.ts";

export interface Claim extends VersionKey {
  readonly ports: PortSet;
}

export interface PortConflict {
  readonly port: PortSpec;
  /** Who has it, for people: `service web (version 3), as a client port`. */
  readonly holder: string;
}

export interface PortHolders {
  /** Registrations of all domains of this node. */
  readonly claims: readonly Claim[];
  /** Port number → what the node itself uses it for. Holds for both protocols. */
  readonly reserved: ReadonlyMap<number, string>;
  /** Port that a process of the host listens on → which process. */
  readonly listening: ReadonlyMap<PortSpec, string>;
}

/** Every port of `wanted` that somebody else has. */
export function findConflicts(wanted: Claim, holders: PortHolders): PortConflict[] {
  const conflicts: PortConflict[] = [];
  for (const role of ["peer", "client"] as const) {
    for (const port of wanted.ports[role]) {
      const holder = findHolder(wanted, role, port, holders);
      if (holder !== undefined) conflicts.push({ port, holder });
    }
  }
  return conflicts;
}

function findHolder(
  wanted: Claim,
  role: "peer" | "client",
  port: PortSpec,
  { claims, reserved, listening }: PortHolders,
): string | undefined {
  const purpose = reserved.get(parsePortSpec(port)?.port ?? 0);
  if (purpose !== undefined) return `this node's own ${purpose}`;
  const otherRole = role === "peer" ? "client" : "peer";
  for (const claim of [...claims, wanted]) {
    const sameService = claim.service === wanted.service;
    const heldAs = [role, otherRole] as const;
    const held = heldAs.find((as) => claim.ports[as].includes(port) && (as !== role || !sameService));
    if (held !== undefined) return `service ${claim.service} (version ${claim.version}), as a ${held} port`;
  }
  // A version of this service holds it already: then the listener is that service's own proxy, or was accepted before.
  if (claims.some((claim) => claim.service === wanted.service && claim.ports[role].includes(port)))
    return undefined;
  return listening.get(port);
}
