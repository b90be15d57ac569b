/** `vm-upgrade pack`: a directory becomes a signed release. */
import type { CommandModule } from "yargs";
import { packRelease } from "../../release/index.ts";
import { jsonOption, keyOption, print } from "../options.ts";

interface Options {
  readonly directory: string;
  readonly output: string | undefined;
  readonly key: string;
  readonly json: boolean;
}

export const packCommand: CommandModule<object, Options> = {
  command: "pack <directory>",
  describe: "Make a signed release of a directory that has a version.json",
  builder: (yargs) =>
    yargs
      .positional("directory", {
        type: "string",
        demandOption: true,
        describe: "Directory with version.json",
      })
      .option("output", {
        type: "string",
        describe: "Directory for the tarball and its signature (default: here)",
      })
      .options({ ...jsonOption, ...keyOption })
      .example("$0 pack ./kv-2.0", "writes kv-2.0.0.tar.gz and kv-2.0.0.release.json")
      .example("$0 pack ./kv-2.0 --key ./fleet.key --output /srv/releases", ""),
  handler: async ({ directory, output, key, json }) => {
    const packed = await packRelease({ directory, outputDirectory: output ?? process.cwd(), keyFile: key });
    print(json, packed, () => [
      `packed  ${packed.tarball} (${packed.bytes} bytes)`,
      `signed  ${packed.envelopeFile} (sha256 ${packed.sha256})`,
      `next    vm-upgrade seed ${packed.tarball}`,
    ]);
  },
};
