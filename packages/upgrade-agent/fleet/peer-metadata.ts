/** Fetches signed metadata from another node's peer API, bounded before anything is verified. */
import { fetchBytes, fetchJson } from "../api/client.ts";
import type { PeerMetadata } from "../lifecycle/works/context.ts";
import type { Envelope } from "../release/contract.ts";

const envelopeBytesMax = 256 * 1024;
/** A torrent of a 2 GiB release with 256 KiB pieces has 160 KiB of hashes. */
const torrentBytesMax = 1024 * 1024;

export function createPeerMetadata(port: number): PeerMetadata {
  return {
    async release(host, service, version) {
      const path = `/v1/releases/${encodeURIComponent(service)}/${version}`;
      const envelope = await fetchJson<Envelope>({ host, port }, path, { bytesMax: envelopeBytesMax });
      const torrent = await fetchBytes({ host, port }, `${path}/torrent`, { bytesMax: torrentBytesMax });
      return { envelope, torrent };
    },
    retirement(host, service, version) {
      const path = `/v1/retirements/${encodeURIComponent(service)}/${version}`;
      return fetchJson<Envelope>({ host, port }, path, { bytesMax: envelopeBytesMax });
    },
  };
}
