/** How works reach into a domain: by SSH, over the management address of its link. */
import { generateDomainKey, openSession, type Session } from "../../remote/index.ts";
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

/** Asking to attach again answers the link that is there. */
export function linkOf(context: WorkContext, service: string, version: number) {
  return context.router.attachDomain({ service, version, kind: context.hypervisor.linkKind });
}
