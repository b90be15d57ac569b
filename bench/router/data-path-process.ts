/**
 * A node's data path in a process of its own, since it lives in one network namespace. Started with a NodeConfig as
 * JSON; sends the domain's link when all is set up; destroys the data path when told to end.
 */
import { join } from "node:path";
import { serviceTag } from "@version-manager/version-router";
import { createKernelDataPath } from "@version-manager/version-router/datapath/kernel";
import { createRelayDataPath } from "@version-manager/version-router/datapath/relay";
import type { DomainLink, PortSet } from "@version-manager/version-router";

export interface NodeConfig {
  readonly kind: "kernel" | "relay";
  readonly uplink: string;
  readonly serviceAddress: string;
  /** Of the kernel data path, on a bpffs. */
  readonly pinDirectory: string;
  /** Of the relay. */
  readonly stateDirectory: string;
  readonly peers: readonly string[];
  /** Clients go straight to the domain. */
  readonly ports: PortSet;
}

const SERVICE = "bench";
const VERSION = 1;
const SLOT = 0;

function create(config: NodeConfig) {
  const { kind, uplink, serviceAddress, pinDirectory, stateDirectory } = config;
  return kind === "kernel"
    ? createKernelDataPath({ uplink, serviceAddress, pinDirectory })
    : createRelayDataPath({ uplink, serviceAddress, stateFile: join(stateDirectory, "state.json") });
}

async function main([json = "{}"]: readonly string[]): Promise<void> {
  const config = JSON.parse(json) as NodeConfig;
  const dataPath = create(config);
  await dataPath.open();
  await dataPath.setManagedPeers(config.peers);
  const domain = { slot: SLOT, service: SERVICE, tag: serviceTag(SERVICE), version: VERSION };
  const link: DomainLink = await dataPath.attachDomain({ ...domain, link: "veth" });
  await dataPath.setPorts(SLOT, config.ports);
  if (config.ports.client.length > 0)
    await dataPath.setClientPath(SERVICE, { kind: "direct", version: VERSION });
  process.send?.(link);
  const finish = (): void => void dataPath.destroy().finally(() => process.exit(0));
  process.once("SIGTERM", finish);
  process.once("disconnect", finish);
}

await main(process.argv.slice(2));
