/** Finding our domains among all that the daemon has. */
import { AgentError } from "../../errors.ts";
import type { DomainState, ListedDomain } from "../hypervisor.ts";
import { isOurs } from "../xml/frame.ts";
import type { Connection, Domain } from "./connection.ts";
import { isLibvirt, LibvirtCode } from "./rpc/error.ts";

/** Undefined instead of libvirt's error when a domain is not, or no longer, there. */
export async function unlessAbsent<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (isLibvirt(error, LibvirtCode.noDomain)) return undefined;
    throw error;
  }
}

export async function listOurs(connection: Connection): Promise<ListedDomain[]> {
  const looked = (await connection.listAllDomains()).map(
    async (domain) => await unlessAbsent(describe(domain)),
  );
  return (await Promise.all(looked)).filter((listed) => listed !== undefined);
}

/** A domain of that name that is not ours is none. */
export async function stateOf(connection: Connection, name: string): Promise<DomainState> {
  const listed = await unlessAbsent(connection.lookupDomainByName(name).then(describe));
  return listed?.state ?? "absent";
}

async function describe(domain: Domain): Promise<ListedDomain | undefined> {
  if (!isOurs(await domain.xml())) return undefined;
  return { name: domain.name, state: (await domain.isRunning()) ? "running" : "stopped" };
}

/** Our domain of that name, if there is one. Throws E_DOMAIN when the name belongs to somebody else's. */
export async function findOurs(
  connection: Connection,
  name: string,
): Promise<{ readonly domain: Domain; readonly xml: string } | undefined> {
  const domain = await unlessAbsent(connection.lookupDomainByName(name));
  const xml = domain === undefined ? undefined : await unlessAbsent(domain.xml());
  if (domain === undefined || xml === undefined) return undefined;
  if (isOurs(xml)) return { domain, xml };
  throw new AgentError(
    "E_DOMAIN",
    `The domain ${name} was not made by Version Manager; rename or remove it first.`,
  );
}
