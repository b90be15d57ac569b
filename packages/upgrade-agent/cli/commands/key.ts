/** `vm-upgrade key`: the fleet key that releases are signed with. */
import type { CommandModule } from "yargs";
import { generateFleetKey } from "../../trust/index.ts";
import { jsonOption, keyOption, print } from "../options.ts";

interface Options {
  readonly key: string;
  readonly json: boolean;
}

const newCommand: CommandModule<object, Options> = {
  command: "new",
  describe: "Make a fleet key; never overwrites one",
  builder: (yargs) =>
    yargs
      .options({ ...jsonOption, ...keyOption })
      .example("$0 key new --key ./fleet.key", "writes ./fleet.key and ./fleet.key.pub"),
  handler: async ({ key, json }) => {
    const made = await generateFleetKey(key);
    print(json, made, () => [
      `private  ${made.privateKeyFile} (keep it off the nodes, and safe)`,
      `public   ${made.publicKeyFile} (copy to /etc/version-manager/trust/ of every node)`,
    ]);
  },
};

export const keyCommand: CommandModule = {
  command: "key",
  describe: "Make the key that releases are signed with",
  builder: (yargs) => yargs.command(newCommand).demandCommand(1, "Name what to do: new."),
  handler: () => {},
};
