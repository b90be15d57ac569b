/** Proof that versions kept to themselves: whom each domain ever heard of, by moleculer's own handshakes and gossip. */
import type { Fleet } from "./fleet.ts";

/** What a server said of itself; which facts depends on how it was heard. See examples/moleculer/v1/heard.js. */
interface Heard {
  readonly nodeID: string;
  readonly via: "hello" | "gossip";
  readonly moleculer?: string;
  readonly protocol?: string;
  readonly label?: string;
}

interface ServiceStats {
  readonly version: number;
  readonly label: string;
  readonly moleculer: string;
  readonly protocol: string;
  readonly items: number;
  readonly heard: readonly Heard[];
}

export interface DomainProof {
  readonly node: string;
  readonly version: number;
  readonly moleculer: string;
  readonly items: number;
  /** Everything that remote servers ever said of themselves to this domain. */
  readonly heard: readonly Heard[];
  /** All of them were of this domain's own version; to have heard nobody proves nothing and counts as false. */
  readonly onlyItsOwnKind: boolean;
}

export async function isolationOf(fleet: Fleet): Promise<DomainProof[]> {
  const statuses = await fleet.statuses();
  const proofs = statuses.flatMap((status, index) =>
    (status.router?.domains ?? []).map(async ({ version, link }): Promise<DomainProof> => {
      const stats = (await fleet.get(index + 1, link.managementAddress, "/stats")) as ServiceStats;
      const { moleculer, items, heard } = stats;
      const onlyItsOwnKind = heard.length > 0 && heard.every((peer) => isSameKind(peer, stats));
      return { node: status.node, version, moleculer, items, heard, onlyItsOwnKind };
    }),
  );
  return Promise.all(proofs);
}

function isSameKind(peer: Heard, own: ServiceStats): boolean {
  return (["moleculer", "protocol", "label"] as const).every(
    (fact) => peer[fact] === undefined || peer[fact] === own[fact],
  );
}
