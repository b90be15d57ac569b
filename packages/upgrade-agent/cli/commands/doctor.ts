/** `vm-upgrade doctor`: what this machine lacks, and the command that mends it. */
import type { CommandModule } from "yargs";
import { reportLines, runDoctor, type Purpose } from "../../doctor/index.ts";
import { createImageStore } from "../../image/index.ts";
import { defaultDirectories, jsonOption, print } from "../options.ts";
import { styleFor } from "../screen/style.ts";

interface Options {
  readonly json: boolean;
  readonly purpose: Purpose | undefined;
}

export const doctorCommand: CommandModule<object, Options> = {
  command: "doctor",
  describe: "Show what this machine lacks, and the command that mends it",
  builder: (yargs) =>
    yargs
      .options(jsonOption)
      .option("purpose", {
        choices: ["node", "testbed"] as const,
        describe: "What the machine is for (default: node where an agent is configured, else testbed)",
      })
      .example("$0 doctor", "")
      .example("$0 doctor --purpose testbed --json", ""),
  handler: async ({ json, purpose }) => {
    const images = createImageStore(defaultDirectories);
    const baseImage = async () => (await images.base())?.digest;
    const report = await runDoctor({ ...(purpose === undefined ? {} : { purpose }), baseImage });
    const { green: good, red: bad, yellow: advice } = styleFor(process.stdout, process.env);
    print(json, report, () => reportLines(report, { good, bad, advice }));
    if (!report.ok) process.exitCode = 3;
  },
};
