/** `vm-upgrade logs`: what a version's service, its hooks and the agent said, as it is kept or as it comes. */
import { setTimeout as sleep } from "node:timers/promises";
import type { CommandModule } from "yargs";
import type { LoggedLine } from "../../journal/said.ts";
import { agentAt, agentOptions, print } from "../options.ts";

interface Options {
  readonly service: string;
  readonly number: number;
  readonly follow: boolean;
  readonly json: boolean;
  readonly socket: string;
}

const followEveryMs = 500;

export const logsCommand: CommandModule<object, Options> = {
  command: "logs <service> <number>",
  describe: "Show what a version's service and its hooks said on this node",
  builder: (yargs) =>
    yargs
      .positional("service", { type: "string", demandOption: true })
      .positional("number", { type: "number", demandOption: true, describe: "Version number" })
      .option("follow", {
        type: "boolean",
        default: false,
        alias: "f",
        describe: "Go on with what comes, until interrupted; with --json one line each",
      })
      .options(agentOptions)
      .example("$0 logs kv 2", "")
      .example("$0 logs kv 2 --follow", ""),
  handler: async ({ service, number, follow, json, socket }) => {
    const agent = agentAt(socket);
    let lines = await agent.logs(service, number);
    if (!follow) {
      // What a domain told late, because nobody listened, stands where it belongs.
      const inOrder = lines.toSorted((a, b) => a.atMs - b.atMs || a.id - b.id);
      print(json, inOrder, () => inOrder.map(lineOf));
      return;
    }
    for (let after = 0; ; lines = await agent.logs(service, number, after)) {
      for (const line of lines) print(json, line, () => [lineOf(line)]);
      after = lines.at(-1)?.id ?? after;
      await sleep(followEveryMs);
    }
  },
};

function lineOf({ atMs, source, text }: LoggedLine): string {
  return `${new Date(atMs).toISOString()} ${source}: ${text.trimEnd()}`;
}
