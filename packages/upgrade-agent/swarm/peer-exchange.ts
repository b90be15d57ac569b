/**
 * Peer exchange (BEP 11). webtorrent takes what others send but sends nothing by itself; here each peer is told about
 * the others. What arrives passes the gate like every address, so nobody outside the fleet gets in by it.
 */
import type { Torrent, Wire } from "./webtorrent.ts";

export interface ExchangeOptions {
  /** `address:port` of peers that we were told of. */
  readonly known: ReadonlySet<string>;
  /** Where a peer listens that connected to us and that we were not told of: all nodes of a fleet use one port. */
  readonly swarmPort: number;
}

export function exchangePeers(torrent: Torrent, { known, swarmPort }: ExchangeOptions): void {
  const endpointOf = ({ remoteAddress }: Wire): string | undefined => {
    if (remoteAddress === undefined) return undefined;
    return (
      known.values().find((peer) => peer.startsWith(`${remoteAddress}:`)) ?? `${remoteAddress}:${swarmPort}`
    );
  };
  torrent.on("wire", (wire: Wire) => {
    const endpoint = endpointOf(wire);
    const others = () =>
      torrent.wires.filter((other) => other !== wire && other.remoteAddress !== wire.remoteAddress);
    for (const other of others()) {
      const otherEndpoint = endpointOf(other);
      if (otherEndpoint !== undefined) wire.ut_pex?.addPeer(otherEndpoint);
      if (endpoint !== undefined) other.ut_pex?.addPeer(endpoint);
    }
    wire.ut_pex?.start();
    wire.once("close", () => {
      if (torrent.destroyed || endpoint === undefined) return;
      for (const other of others()) other.ut_pex?.dropPeer(endpoint);
    });
  });
}
