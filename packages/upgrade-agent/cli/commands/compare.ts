/** `vm-upgrade compare`: whether the newest version of a service answers as the older one does, and how sure that is. */
import { setTimeout as sleep } from "node:timers/promises";
import type { CommandModule } from "yargs";
import type { CompareStatus } from "../../api/contract.ts";
import { AgentError } from "../../errors.ts";
import { agentAt, agentOptions, print } from "../options.ts";
import { comparisonScreen } from "../screen/comparison.ts";
import { styleFor } from "../screen/style.ts";
import { createScreen } from "../screen/terminal.ts";

interface Options {
  readonly service: string;
  readonly check: boolean;
  readonly watch: boolean;
  readonly interval: number;
  readonly json: boolean;
  readonly socket: string;
}

export const compareCommand: CommandModule<object, Options> = {
  command: "compare <service>",
  describe:
    "Show how the replies of two versions differ, and whether that is good enough to retire the older",
  builder: (yargs) =>
    yargs
      .positional("service", { type: "string", demandOption: true })
      .option("check", {
        type: "boolean",
        default: false,
        describe: "Fail with E_COMPARE_GATE, status 4, while what the release asks for is not met",
      })
      .option("watch", {
        type: "boolean",
        default: false,
        describe: "Go on until Ctrl-C, or until --check is met",
      })
      .option("interval", {
        type: "number",
        default: 1_000,
        describe: "Milliseconds between two looks of --watch, at least 100",
      })
      .options(agentOptions)
      .example("$0 compare kv", "")
      .example("$0 compare kv --check && $0 retire kv 1", "in a script")
      .example("$0 compare kv --watch --check", "wait until it is good enough"),
  handler: async ({ service, check, watch, interval, json, socket }) => {
    const agent = agentAt(socket);
    const style = styleFor(process.stdout, process.env);
    const screen = createScreen(process.stdout);
    for (;;) {
      const status = await agent.compare(service);
      if (watch && !json) screen.draw(comparisonScreen(status, style));
      else print(json, status, () => comparisonScreen(status, style));
      if (check && isMet(status)) return;
      if (!watch) return check ? refuse(status) : undefined;
      await sleep(Math.max(100, interval));
    }
  },
};

/** Throws E_USAGE when there is no gate to be checked. */
function isMet({ service, candidate, gate, faults }: CompareStatus): boolean {
  if (gate !== undefined) return faults.length === 0;
  throw new AgentError("E_USAGE", `The release ${service} ${candidate} has no proxy.compare to be checked.`);
}

function refuse({ service, candidate, faults }: CompareStatus): never {
  throw new AgentError("E_COMPARE_GATE", `${service} ${candidate}: ${faults.join("; ")}.`);
}
