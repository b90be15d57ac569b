/** `vm-upgrade daemon`: the agent itself, as systemd runs it. */
import type { CommandModule } from "yargs";
import { defaultConfigFile, loadConfig } from "../../daemon/config.ts";
import { runAgent } from "../../daemon/run.ts";

interface Options {
  readonly config: string;
}

export const daemonCommand: CommandModule<object, Options> = {
  command: "daemon",
  describe: "Run the upgrade agent of this node",
  builder: (yargs) =>
    yargs
      .option("json", { type: "boolean", default: false, describe: "Tell a failure to start as JSON" })
      .option("config", { type: "string", default: defaultConfigFile, describe: "Configuration, JSON" })
      .example("$0 daemon", "as the systemd unit does"),
  handler: async ({ config }) => {
    const stop = new AbortController();
    for (const name of ["SIGTERM", "SIGINT"] as const) process.once(name, () => stop.abort());
    const log = (line: string) => process.stderr.write(`${new Date().toISOString()} ${line}\n`);
    await runAgent(loadConfig(config), stop.signal, log);
  },
};
