/** `vm-upgrade watch`: the fleet, live, until it is interrupted or a version runs everywhere. */
import { setTimeout as sleep } from "node:timers/promises";
import type { CommandModule } from "yargs";
import type { NodeDigest } from "../../fleet/view.ts";
import { agentAt, agentOptions } from "../options.ts";
import { createScreen } from "../screen/terminal.ts";
import { styleFor } from "../screen/style.ts";
import { fleetScreen } from "../screen/timeline.ts";

interface Options {
  readonly json: boolean;
  readonly socket: string;
  readonly until: number | undefined;
  readonly interval: number;
}

export const watchCommand: CommandModule<object, Options> = {
  command: "watch",
  describe: "Follow the fleet live: each node's stages over time",
  builder: (yargs) =>
    yargs
      .options(agentOptions)
      .option("until", { type: "number", describe: "End when every known node runs this version" })
      .option("interval", {
        type: "number",
        default: 500,
        describe: "Milliseconds between two looks, at least 100",
      })
      .example("$0 watch", "until Ctrl-C")
      .example("$0 watch --until 2", "until version 2 runs everywhere")
      .example("$0 watch --json", "one JSON line per look"),
  handler: async ({ json, socket, until, interval }) => {
    const agent = agentAt(socket);
    const screen = createScreen(process.stdout);
    const style = styleFor(process.stdout, process.env);
    for (;;) {
      const { nodes } = await agent.fleet();
      const now = Date.now();
      if (json) process.stdout.write(`${JSON.stringify({ now, nodes })}\n`);
      else screen.draw(fleetScreen(nodes, { now, columns: process.stdout.columns ?? 110, style }));
      if (until !== undefined && allRun(nodes, until)) return;
      await sleep(Math.max(100, interval));
    }
  },
};

function allRun(nodes: readonly NodeDigest[], version: number): boolean {
  return nodes.every((node) =>
    node.versions.some((row) => row.version === version && row.stage === "running"),
  );
}
