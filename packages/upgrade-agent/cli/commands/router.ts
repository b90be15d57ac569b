/** `vm-upgrade router`: what the version router of this node does, as its agent sees it. */
import type { RouterStatus } from "@version-manager/version-router";
import type { CommandModule } from "yargs";
import { AgentError } from "../../errors.ts";
import { agentAt, agentOptions, print } from "../options.ts";
import { table } from "../screen/table.ts";
import { flowsCommand, peersCommand, traceCommand } from "./router-views.ts";

interface Options {
  readonly json: boolean;
  readonly socket: string;
}

async function routerAt(socket: string): Promise<RouterStatus> {
  const { router } = await agentAt(socket).status();
  if (router !== undefined) return router;
  throw new AgentError(
    "E_NO_ROUTER",
    "The version router does not answer the agent; start the unit vm-router.",
  );
}

const statusCommand: CommandModule<object, Options> = {
  command: "status",
  describe: "Show where clients go, and what was marked, delivered and refused",
  builder: (yargs) =>
    yargs
      .options(agentOptions)
      .example("$0 router status", "")
      .example("$0 router status --json | jq .counters", ""),
  handler: async ({ json, socket }) => {
    const router = await routerAt(socket);
    const open = Object.keys(router.policies ?? {});
    const paths = Object.entries(router.clientPaths).map(([service, path]) =>
      path.kind === "direct"
        ? [service, "straight to version", String(path.version)]
        : [service, path.kind, ""],
    );
    const counters = router.counters.map((row) => [
      row.service,
      String(row.version),
      row.verdict,
      String(row.packets),
      String(row.bytes),
    ]);
    print(json, router, () => [
      ...(router.warnings ?? []).map(({ code, message }) => `warning: ${code}: ${message}`),
      `data path ${router.dataPath}${router.dataPathReason === undefined ? "" : ` (${router.dataPathReason})`}, uplink ${router.uplink}, service address ${[router.serviceAddress, router.serviceAddress6 ?? []].flat().join(" and ")}`,
      "",
      ...table([["SERVICE", "CLIENTS GO", ""], ...paths]),
      ...(open.length === 0 ? [] : ["", `speak with peers without Version Manager: ${open.join(", ")}`]),
      "",
      ...table([["SERVICE", "VERSION", "VERDICT", "PACKETS", "BYTES"], ...counters]),
    ]);
  },
};

const portsCommand: CommandModule<object, Options> = {
  command: "ports",
  describe: "Show which domain registered which ports",
  builder: (yargs) => yargs.options(agentOptions).example("$0 router ports", ""),
  handler: async ({ json, socket }) => {
    const { domains } = await routerAt(socket);
    const rows = domains.map(({ service, version, link, ports }) => [
      service,
      String(version),
      link.interfaceName,
      link.managementAddress,
      ports.peer.join(" "),
      ports.client.join(" "),
    ]);
    print(json, domains, () =>
      table([
        ["SERVICE", "VERSION", "INTERFACE", "HOST REACHES IT AT", "PEER PORTS", "CLIENT PORTS"],
        ...rows,
      ]),
    );
  },
};

export const routerCommand: CommandModule = {
  command: "router",
  describe: "Look at the version router of this node",
  builder: (yargs) =>
    yargs
      .command(statusCommand)
      .command(portsCommand)
      .command(flowsCommand)
      .command(peersCommand)
      .command(traceCommand)
      .demandCommand(1, "Name what to show: status, ports, flows, peers or trace."),
  handler: () => {},
};
