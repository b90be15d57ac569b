/** `vm-upgrade init`: a directory to start a release from. */
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { PROXY_KINDS, proxySkeleton, type ProxyKind } from "@version-manager/app-proxy/skeleton";
import type { CommandModule } from "yargs";
import { AgentError } from "../../errors.ts";
import { jsonOption, print } from "../options.ts";

interface Options {
  readonly directory: string;
  readonly proxy: ProxyKind;
  readonly json: boolean;
}

export const initCommand: CommandModule<object, Options> = {
  command: "init <directory>",
  describe: "Write a commented proxy module with a test, to start from",
  builder: (yargs) =>
    yargs
      .positional("directory", {
        type: "string",
        demandOption: true,
        describe: "Made when absent; no file is overwritten",
      })
      .option("proxy", {
        choices: PROXY_KINDS,
        default: "http" as const,
        describe: "Protocol of the clients",
      })
      .options(jsonOption)
      .example("$0 init ./kv-2.0 --proxy resp", ""),
  handler: async ({ directory, proxy, json }) => {
    const written: string[] = [];
    for (const file of proxySkeleton(proxy).files) {
      const path = join(resolve(directory), file.path);
      await mkdir(dirname(path), { recursive: true });
      await writeNew(path, file.text);
      written.push(path);
    }
    print(json, { written }, () => [
      ...written.map((path) => `wrote ${path}`),
      "docs/PROXY.md explains them",
    ]);
  },
};

async function writeNew(path: string, text: string): Promise<void> {
  try {
    await writeFile(path, text, { flag: "wx" });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    throw new AgentError("E_USAGE", `${path} is there already; name another directory.`, error);
  }
}
