/** `vm-upgrade readmit`: a version that the proxy keeps out because it was sick has its say again. */
import type { CommandModule } from "yargs";
import { agentAt, agentOptions, print } from "../options.ts";

interface Options {
  readonly service: string;
  readonly number: number;
  readonly json: boolean;
  readonly socket: string;
}

export const readmitCommand: CommandModule<object, Options> = {
  command: "readmit <service> <number>",
  describe:
    "Let a version that the proxy keeps out answer clients again; it missed writes, so see to its data before",
  builder: (yargs) =>
    yargs
      .positional("service", { type: "string", demandOption: true })
      .positional("number", { type: "number", demandOption: true, describe: "Version number" })
      .options(agentOptions)
      .example("$0 readmit kv 2", ""),
  handler: async ({ service, number, json, socket }) => {
    const status = await agentAt(socket).readmit(service, number);
    print(json, status, () => [`${service} ${number} answers clients again`]);
  },
};
