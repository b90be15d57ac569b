/** Stage `migrating`: the release's migrator copies state out of the old version's domain into the new one's. */
import { createServer, connect, type Server } from "node:net";
import { once } from "node:events";
import type { Upgrade } from "../machine.ts";
import { servingBeside } from "./clients.ts";
import type { Work, WorkContext } from "./context.ts";
import { linkOf, withSession } from "./session.ts";
import { hookEnvironment, mustRunHook } from "./hooks.ts";
import { manifestOf } from "./software.ts";

export const migrate: Work = async (context, upgrade, signal) => {
  const manifest = await manifestOf(context, upgrade);
  const hook = manifest.hooks.migrate;
  const old = servingBeside(context, upgrade).at(-1);
  if (hook === undefined || old === undefined) return;
  const passage = await openPassage(context, old, upgrade);
  try {
    const environment = { ...hookEnvironment(context, manifest), ...passage.environment };
    await withSession(context, upgrade, signal, (session) =>
      mustRunHook(context, upgrade, session, { name: "migrate", hook, environment, signal }),
    );
  } finally {
    passage.close();
  }
};

interface Passage {
  readonly environment: Readonly<Record<string, string>>;
  close(): void;
}

/**
 * Domains never see each other; for the time of the migration the host carries connections from the new domain, and
 * from no one else, to the old one's client ports.
 */
async function openPassage(context: WorkContext, old: Upgrade, upgrade: Upgrade): Promise<Passage> {
  const to = await linkOf(context, old.service, old.version);
  const from = await linkOf(context, upgrade.service, upgrade.version);
  const { ports } = await manifestOf(context, old);
  const servers: Server[] = [];
  const environment: Record<string, string> = { VM_OLD_VERSION: String(old.version) };
  for (const spec of ports.client) {
    const [protocol, port] = spec.split("/");
    if (protocol !== "tcp") continue;
    const server = carry(from.managementAddress, to.managementAddress, Number(port));
    servers.push(server);
    server.listen(0, to.gateway);
    await once(server, "listening");
    const bound = server.address();
    if (bound !== null && typeof bound === "object")
      environment[`VM_OLD_TCP_${port}`] = `${to.gateway}:${bound.port}`;
  }
  return { environment, close: () => servers.forEach((server) => server.close()) };
}

function carry(fromAddress: string, toAddress: string, port: number): Server {
  // A migrator that says all that it has to say and then listens must hear the answer.
  return createServer({ allowHalfOpen: true }, (inner) => {
    if (inner.remoteAddress !== fromAddress) {
      inner.destroy();
      return;
    }
    const outer = connect({ port, host: toAddress, allowHalfOpen: true });
    inner.on("error", () => outer.destroy());
    outer.on("error", () => inner.destroy());
    inner.pipe(outer);
    outer.pipe(inner);
  });
}
