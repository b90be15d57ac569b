/** How works reach into a domain: by SSH, over the management address of its link. */
import type { DomainLink } from "@version-manager/version-router";
import { generateDomainKey, openSession, type Session } from "../../remote/index.ts";
import type { Manifest } from "../../release/index.ts";
import type { Upgrade } from "../machine.ts";
import type { WorkContext } from "./context.ts";

/** The whole stage has its deadline in the table; this one only ends a session that can never be. */
const sessionDeadlineMs = 900_000;

/** An SSH session to the domain over its management address, closed when `use` ends. It must answer by the deadline. */
export async function withSession<T>(
  context: WorkContext,
  upgrade: Pick<Upgrade, "service" | "version">,
  signal: AbortSignal,
  use: (session: Session) => Promise<T>,
  deadlineMs: number = sessionDeadlineMs,
): Promise<T> {
  const { service, version } = upgrade;
  const link = await linkOf(context, service, version);
  const key = context.journal.domainKey(service, version, generateDomainKey);
  const session = await openSession({
    address: link.managementAddress,
    privateKey: key.privateKey,
    deadlineMs,
    signal,
  });
  try {
    return await use(session);
  } finally {
    await session.close();
  }
}

/**
 * Where the domain is reached. A link that the router has is taken as it is: attaching it again would make sure that it
 * is there to stay, which for a container takes a third of a second, at every stage.
 */
export async function linkOf(
  context: Pick<WorkContext, "router" | "hypervisor" | "releases">,
  service: string,
  version: number,
): Promise<DomainLink> {
  const { domains } = await context.router.status();
  const attached = domains.find((domain) => domain.service === service && domain.version === version);
  if (attached !== undefined) return attached.link;
  return await attach(context, (await context.releases.metadata(service, version)).statement.manifest);
}

/** A link with the limits of the manifest; one that is there gets them. */
export function attach(
  { router, hypervisor }: Pick<WorkContext, "router" | "hypervisor">,
  { service, version, networkMbitPerS }: Pick<Manifest, "service" | "version" | "networkMbitPerS">,
): Promise<DomainLink> {
  const limits = networkMbitPerS === undefined ? {} : { networkMbitPerS };
  return router.attachDomain({ service, version, kind: hypervisor.linkKind, ...limits });
}
