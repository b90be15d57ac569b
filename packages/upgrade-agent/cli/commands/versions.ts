/** `vm-upgrade versions`: what this node's journal knows. */
import type { CommandModule } from "yargs";
import type { VersionStatus } from "../../api/contract.ts";
import { agentAt, agentOptions, print } from "../options.ts";
import { table } from "../screen/table.ts";

interface Options {
  readonly json: boolean;
  readonly socket: string;
}

export const versionsCommand: CommandModule<object, Options> = {
  command: "versions",
  describe: "List the versions that this node knows",
  builder: (yargs) => yargs.options(agentOptions).example("$0 versions --json", ""),
  handler: async ({ json, socket }) => {
    const { versions } = await agentAt(socket).status();
    print(json, versions, () => [
      ...table([
        ["SERVICE", "VERSION", "LABEL", "STAGE", "SINCE", "LEARNED", "FAULT"],
        ...versions.map((row) => [
          row.service,
          String(row.version),
          row.label ?? "",
          row.stage,
          new Date(row.enteredAtMs).toISOString().slice(0, 19),
          row.learnedBy === "seed" ? "seeded here" : `${row.learnedBy} from ${row.source}`,
          row.fault === undefined ? keptOut(row) : `${row.fault.code}: ${row.fault.message}`,
        ]),
      ]),
    ]);
  },
};

function keptOut({ quarantine }: VersionStatus): string {
  if (quarantine === undefined) return "";
  const since = new Date(quarantine.sinceMs).toISOString().slice(0, 19);
  return `kept out by the proxy since ${since}: ${JSON.stringify(quarantine.detail)}`;
}
