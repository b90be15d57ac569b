/** Stage `downloading`: the tarball, from the swarm of the fleet, checked against the signed hash. */
import { nodesWithRelease } from "../../fleet/view.ts";
import { otherNodes, type Work } from "./context.ts";

export const download: Work = async (context, upgrade, signal) => {
  const { service, version } = upgrade;
  if (await context.releases.isComplete(service, version)) return;
  const { statement, torrent, partFile } = await context.releases.metadata(service, version);
  const holders = nodesWithRelease(context.fleet(), service, version);
  const addresses = new Set([upgrade.source, ...holders, ...otherNodes(context)]);
  addresses.delete("local");
  addresses.delete(context.config.serviceAddress);
  await context.swarm.download({
    torrent,
    infohash: statement.infohash,
    file: partFile,
    peers: [...addresses].map((address) => `${address}:${context.config.swarmPort}`),
    onProgress: (progress) => context.reportProgress(upgrade, progress),
    signal,
  });
  await context.releases.complete(service, version);
  // The file has its final name now; the swarm goes on giving it from there.
  const { tarball } = await context.releases.metadata(service, version);
  await context.swarm.seed(torrent, tarball);
};
