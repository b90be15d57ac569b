/** `vm-upgrade image`: base images. */
import type { CommandModule } from "yargs";
import { createImageStore } from "../../image/index.ts";
import { defaultDirectories, jsonOption, print } from "../options.ts";

interface Options {
  readonly cache: string;
  readonly json: boolean;
}

const options = {
  ...jsonOption,
  cache: { type: "string", default: defaultDirectories.cacheDirectory, describe: "Directory of base images" },
} as const;

const buildCommand: CommandModule<object, Options> = {
  command: "build",
  describe: "Build the base image from Debian packages, unless the same one is there",
  builder: (yargs) => yargs.options(options).example("$0 image build", "about a minute the first time"),
  handler: async ({ cache, json }) => {
    const store = createImageStore({ ...defaultDirectories, cacheDirectory: cache });
    const startedAtMs = Date.now();
    const image = await store.build({ onProgress: (step) => process.stderr.write(`${step}\n`) });
    const seconds = ((Date.now() - startedAtMs) / 1000).toFixed(1);
    print(json, image, () => [`base image ${image.digest.slice(0, 12)} in ${image.directory}, ${seconds} s`]);
  },
};

export const imageCommand: CommandModule = {
  command: "image",
  describe: "Build base images",
  builder: (yargs) => yargs.command(buildCommand).demandCommand(1, "Name what to do: build."),
  handler: () => {},
};
