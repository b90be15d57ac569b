/** `vm-upgrade logs`: what hooks and the agent said about a version. */
import type { CommandModule } from "yargs";
import { agentAt, agentOptions, print } from "../options.ts";

interface Options {
  readonly service: string;
  readonly number: number;
  readonly json: boolean;
  readonly socket: string;
}

export const logsCommand: CommandModule<object, Options> = {
  command: "logs <service> <number>",
  describe: "Show the output of a version's hooks on this node",
  builder: (yargs) =>
    yargs
      .positional("service", { type: "string", demandOption: true })
      .positional("number", { type: "number", demandOption: true, describe: "Version number" })
      .options(agentOptions)
      .example("$0 logs kv 2", ""),
  handler: async ({ service, number, json, socket }) => {
    const lines = await agentAt(socket).logs(service, number);
    print(json, lines, () =>
      lines.map((line) => `${new Date(line.atMs).toISOString()} ${line.source}: ${line.text.trimEnd()}`),
    );
  },
};
