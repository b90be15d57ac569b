#!/usr/bin/env node
/** `vm-upgrade`: nouns read, verbs change; everything about a node goes through its agent's API. */
import yargs from "yargs";
import { hideBin } from "yargs/helpers";
import { AgentError } from "../errors.ts";
import { compareCommand } from "./commands/compare.ts";
import { daemonCommand } from "./commands/daemon.ts";
import { doctorCommand } from "./commands/doctor.ts";
import { imageCommand } from "./commands/image.ts";
import { initCommand } from "./commands/init.ts";
import { keyCommand } from "./commands/key.ts";
import { logsCommand } from "./commands/logs.ts";
import { marksCommand } from "./commands/marks.ts";
import { packCommand } from "./commands/pack.ts";
import { readmitCommand } from "./commands/readmit.ts";
import { retireCommand } from "./commands/retire.ts";
import { retryCommand } from "./commands/retry.ts";
import { routerCommand } from "./commands/router.ts";
import { seedCommand } from "./commands/seed.ts";
import { statusCommand } from "./commands/status.ts";
import { testbedCommand } from "./commands/testbed.ts";
import { versionsCommand } from "./commands/versions.ts";
import { watchCommand } from "./commands/watch.ts";
import { splitWords, type SplitWords } from "./foreign-words.ts";
import { describeError, exitStatusOf } from "./exit.ts";

const epilogue = `Exit status: 0 done, 1 failed, 2 wrong command line or file, 3 something needed does not answer,
4 refused. Errors carry a stable code; docs/OPERATIONS.md says what to do about each.`;

async function main({ own, foreign }: SplitWords): Promise<void> {
  await yargs(own)
    .scriptName("vm-upgrade")
    .usage("$0 <command>\n\nUpgrade a live distributed system by running its versions side by side.")
    .command(initCommand)
    .command(packCommand)
    .command(seedCommand)
    .command(statusCommand)
    .command(watchCommand)
    .command(versionsCommand)
    .command(logsCommand)
    .command(compareCommand)
    .command(readmitCommand)
    .command(retireCommand)
    .command(retryCommand)
    .command(routerCommand)
    .command(doctorCommand)
    .command(imageCommand)
    .command(keyCommand)
    .command(daemonCommand)
    .command(testbedCommand(foreign))
    .command(marksCommand)
    .demandCommand(1, "Name a command.")
    .strict()
    .version()
    .help()
    .epilogue(epilogue)
    .wrap(Math.min(110, process.stdout.columns ?? 110))
    .fail((message, error) => {
      throw error ?? new AgentError("E_USAGE", `${message.replace(/\.?$/, ".")} See 'vm-upgrade --help'.`);
    })
    .parseAsync();
}

const words = splitWords(hideBin(process.argv));
main(words).catch((error: unknown) => {
  process.stderr.write(`${describeError(error, words.own.includes("--json"))}\n`);
  process.exitCode = exitStatusOf(error);
});
