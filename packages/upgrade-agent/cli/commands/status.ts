/** `vm-upgrade status`: this node and what it knows of the fleet, once. */
import type { CommandModule } from "yargs";
import type { VersionStatus } from "../../api/contract.ts";
import { fleetScreen } from "../screen/timeline.ts";
import { styleFor } from "../screen/style.ts";
import { agentAt, agentOptions, print } from "../options.ts";

interface Options {
  readonly json: boolean;
  readonly socket: string;
}

export const statusCommand: CommandModule<object, Options> = {
  command: "status",
  describe: "Show this node and the fleet as it knows it",
  builder: (yargs) =>
    yargs.options(agentOptions).example("$0 status", "").example("$0 status --json | jq .node.versions", ""),
  handler: async ({ json, socket }) => {
    const agent = agentAt(socket);
    const [node, fleet] = await Promise.all([agent.status(), agent.fleet()]);
    const style = styleFor(process.stdout, process.env);
    print(json, { node, fleet: fleet.nodes }, () => {
      const paths = Object.entries(node.clientPaths).map(([service, path]) =>
        path.kind === "direct"
          ? `${service}: straight to version ${path.version}`
          : `${service}: ${path.kind}`,
      );
      return [
        `node ${style.bold(node.node)} ${node.address}, hypervisor ${node.hypervisor}, ` +
          `router ${node.router === undefined ? style.red("does not answer") : node.router.dataPath}`,
        `clients ${paths.length === 0 ? "none yet" : paths.join(", ")}`,
        ...node.versions.flatMap(({ service, version, quarantine }) =>
          quarantine === undefined
            ? []
            : [
                style.red(
                  `${service} ${version} is kept out by the proxy: ${JSON.stringify(quarantine.detail)}; `,
                ) + `see to its data, then 'vm-upgrade readmit ${service} ${version}'`,
              ],
        ),
        ...node.versions.flatMap((version) => warningsOf(version)).map((warning) => style.red(warning)),
        "",
        ...fleetScreen(fleet.nodes, { now: Date.now(), columns: process.stdout.columns ?? 110, style }),
      ];
    });
  },
};

/** Seconds by which a clock may be off before people are told. */
const clockWarningS = 1;

function warningsOf({ service, version, stage, process, clockOffsetMs = 0 }: VersionStatus): string[] {
  const name = `${service} ${version}`;
  const failed =
    stage === "running" && process?.state === "failed"
      ? [
          `${name}: its service gave up after ${process.restarts} restarts (it ${process.lastExit ?? "ended"}); ` +
            `see 'vm-upgrade logs ${name}', then 'vm-upgrade readmit ${name}'`,
        ]
      : [];
  const offS = clockOffsetMs / 1000;
  const clock =
    Math.abs(offS) > clockWarningS
      ? [`${name}: the domain's clock is ${Math.abs(offS).toFixed(1)} s ${offS > 0 ? "ahead" : "behind"}`]
      : [];
  return [...failed, ...clock];
}
