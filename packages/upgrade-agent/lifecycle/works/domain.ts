/** Stages `preparing-disk` to `booting`: a private disk, a link, a domain that answers SSH. */
import { join } from "node:path";
import { generateDomainKey } from "../../remote/index.ts";
import { leaveClientPath } from "./clients.ts";
import { domainName, type Work } from "./context.ts";
import { ensureDisk } from "./image.ts";
import { attach, withSession } from "./session.ts";

export const prepareDisk: Work = async (context, upgrade, signal) => {
  await ensureDisk(context, upgrade, signal);
};

export const createDomain: Work = async (context, upgrade, signal) => {
  const { service, version } = upgrade;
  const { manifest } = (await context.releases.metadata(service, version)).statement;
  // A version that served and lost its domain must not keep clients waiting until it is back.
  await leaveClientPath(context, upgrade);
  const name = domainName(context.config, upgrade);
  const disk = await ensureDisk(context, upgrade, signal);
  const key = context.journal.domainKey(service, version, generateDomainKey);
  const link = await attach(context, manifest);
  const identity = {
    hostname: `${context.config.node}-${service}-${version}`,
    ...upgrade,
    authorizedKey: key.publicKey,
    link,
  };
  await context.images.writeSeed(disk, identity);
  const { from, why } = await context.spares.create(
    {
      name,
      identity,
      disk,
      memoryMiB: manifest.memoryMiB,
      vcpus: manifest.vcpus,
      ...(manifest.diskMiBPerS === undefined ? {} : { diskMiBPerS: manifest.diskMiBPerS }),
      consoleLog: join(context.config.logDirectory, `${name}.console.log`),
    },
    signal,
  );
  const how =
    from === "spare" ? "cloned from a warm spare" : `booted, not cloned: ${why ?? "no reason given"}`;
  context.note(upgrade, "domain", how);
};

export const awaitBoot: Work = async (context, upgrade, signal) => {
  await withSession(context, upgrade, signal, async () => {});
};
