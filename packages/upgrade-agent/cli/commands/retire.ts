/** `vm-upgrade retire`: a signed statement that a version has had its day; the fleet passes it on. */
import type { CommandModule } from "yargs";
import { signStatement } from "../../trust/index.ts";
import { agentAt, agentOptions, keyOption, print } from "../options.ts";

interface Options {
  readonly service: string;
  readonly number: number;
  readonly force: boolean;
  readonly key: string;
  readonly json: boolean;
  readonly socket: string;
}

export const retireCommand: CommandModule<object, Options> = {
  command: "retire <service> <number>",
  describe: "Retire an old version on the whole fleet",
  builder: (yargs) =>
    yargs
      .positional("service", { type: "string", demandOption: true })
      .positional("number", { type: "number", demandOption: true, describe: "Version number" })
      .option("force", {
        type: "boolean",
        default: false,
        describe: "Although some node does not run a newer one, or comparing has not shown enough",
      })
      .options({ ...agentOptions, ...keyOption })
      .example("$0 retire kv 1", "once every node runs version 2"),
  handler: async ({ service, number, force, key, json, socket }) => {
    const envelope = await signStatement({ kind: "retire", service, version: number }, key);
    const status = await agentAt(socket).retire(envelope, force);
    print(json, status, () => [
      `${service} ${number} is ${status.stage}; the other nodes follow as they hear of it`,
    ]);
  },
};
