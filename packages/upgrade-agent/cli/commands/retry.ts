/** `vm-upgrade retry`: another try of a version that failed on this node. */
import type { CommandModule } from "yargs";
import { agentAt, agentOptions, print } from "../options.ts";

interface Options {
  readonly service: string;
  readonly number: number;
  readonly json: boolean;
  readonly socket: string;
}

export const retryCommand: CommandModule<object, Options> = {
  command: "retry <service> <number>",
  describe: "Try a version that failed on this node again, from the start",
  builder: (yargs) =>
    yargs
      .positional("service", { type: "string", demandOption: true })
      .positional("number", { type: "number", demandOption: true, describe: "Version number" })
      .options(agentOptions)
      .example("$0 retry kv 2", ""),
  handler: async ({ service, number, json, socket }) => {
    const status = await agentAt(socket).retry(service, number);
    print(json, status, () => [`${service} ${number} is ${status.stage}`]);
  },
};
