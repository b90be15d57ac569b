/** `vm-upgrade seed`: the one command that upgrades a fleet. */
import { access, readFile } from "node:fs/promises";
import { resolve } from "node:path";
import type { CommandModule } from "yargs";
import { AgentError } from "../../errors.ts";
import { inspectRelease } from "../../release/index.ts";
import type { Envelope } from "../../release/contract.ts";
import { agentAt, agentOptions, print } from "../options.ts";

interface Options {
  readonly tarball: string;
  readonly signature: string | undefined;
  readonly json: boolean;
  readonly socket: string;
}

export const seedCommand: CommandModule<object, Options> = {
  command: "seed <tarball>",
  describe: "Give a release to the fleet through this node; every node upgrades itself",
  builder: (yargs) =>
    yargs
      .positional("tarball", { type: "string", demandOption: true, describe: "Made by 'vm-upgrade pack'" })
      .option("signature", {
        type: "string",
        describe: "Signed metadata (default: NAME.release.json beside it)",
      })
      .options(agentOptions)
      .example("$0 seed kv-2.0.0.tar.gz", "upgrade the fleet")
      .example("$0 seed kv-2.0.0.tar.gz && $0 watch", "and look at it"),
  handler: async ({ tarball, signature, json, socket }) => {
    const file = resolve(tarball);
    await inspectRelease(file);
    const envelope = await readEnvelope(signature ?? file.replace(/(\.tar\.gz|\.tgz)$/, ".release.json"));
    const status = await agentAt(socket).seed({ file, envelope });
    print(json, status, () => [
      `seeded ${status.service} ${status.version} (${status.label ?? "no label"}); 'vm-upgrade watch' shows the fleet`,
    ]);
  },
};

async function readEnvelope(file: string): Promise<Envelope> {
  try {
    await access(file);
  } catch (error) {
    const message = `There is no signature ${file}; 'vm-upgrade pack' makes it, or name it with --signature.`;
    throw new AgentError("E_RELEASE_UNSIGNED", message, error);
  }
  try {
    return JSON.parse(await readFile(file, "utf8")) as Envelope;
  } catch (error) {
    throw new AgentError(
      "E_RELEASE_UNSIGNED",
      `${file} is not signed metadata; pack the release again.`,
      error,
    );
  }
}
