/** Which work belongs to which stage. */
import type { WorkingStage } from "../stages.ts";
import { attachClients, drainDirectConnections, finishSwitch } from "./clients.ts";
import type { Work } from "./context.ts";
import { awaitBoot, createDomain, prepareDisk } from "./domain.ts";
import { download } from "./download.ts";
import { awaitTurn, fetchMetadata } from "./metadata.ts";
import { migrate } from "./migrate.ts";
import { retire } from "./retire.ts";
import { configure, copySoftware, startAndAwaitHealth } from "./software.ts";

const nothing: Work = async () => {};

export const works: Readonly<Record<WorkingStage, Work>> = {
  discovered: fetchMetadata,
  verified: nothing,
  scheduled: awaitTurn,
  downloading: download,
  downloaded: nothing,
  "preparing-disk": prepareDisk,
  "creating-domain": createDomain,
  booting: awaitBoot,
  copying: copySoftware,
  configuring: configure,
  starting: startAndAwaitHealth,
  healthy: attachClients,
  attached: drainDirectConnections,
  migrating: migrate,
  "caught-up": finishSwitch,
  draining: retire,
};
