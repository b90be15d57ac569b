/** `vm-upgrade image`: what domains are made of. */
import { basename, resolve } from "node:path";
import type { CommandModule } from "yargs";
import { AgentError } from "../../errors.ts";
import { createImageStore, digestPattern, type ImageStore, type ListedImage } from "../../image/index.ts";
import { defaultDirectories, jsonOption, print } from "../options.ts";
import { table } from "../screen/table.ts";

interface Options {
  readonly cache: string;
  readonly json: boolean;
}

const options = {
  ...jsonOption,
  cache: { type: "string", default: defaultDirectories.cacheDirectory, describe: "Directory of images" },
} as const;

function storeAt(cache: string): ImageStore {
  return createImageStore({ ...defaultDirectories, cacheDirectory: resolve(cache) });
}

/** Progress goes to standard error, so that standard output is the answer alone. */
function say(step: string): void {
  process.stderr.write(`${step}\n`);
}

function mebibytes(bytes: number): string {
  return `${Math.ceil(bytes / 1024 ** 2)} MiB`;
}

const buildCommand: CommandModule<object, Options> = {
  command: "build",
  describe: "Build the base image from Debian packages, unless the same one is there",
  builder: (yargs) => yargs.options(options).example("$0 image build", "about a minute the first time"),
  handler: async ({ cache, json }) => {
    const startedAtMs = Date.now();
    const image = await storeAt(cache).build({ onProgress: say });
    const seconds = ((Date.now() - startedAtMs) / 1000).toFixed(1);
    print(json, image, () => [`base image ${image.digest.slice(0, 12)} in ${image.directory}, ${seconds} s`]);
  },
};

interface ImportOptions extends Options {
  readonly file: string;
  readonly sha256: string | undefined;
  readonly name: string | undefined;
}

const importCommand: CommandModule<object, ImportOptions> = {
  command: "import <file>",
  describe:
    "Take a cloud image (qcow2, raw), an OCI or Docker archive, or a root file system (tarball, directory)",
  builder: (yargs) =>
    yargs
      .positional("file", {
        type: "string",
        demandOption: true,
        describe: "What it is, is seen from its contents",
      })
      .options({
        ...options,
        sha256: {
          type: "string",
          describe: "Refuse it unless it has this SHA-256 (hex), as its publisher says",
        },
        name: { type: "string", describe: "What `list` shows as its source (default: the file's name)" },
      })
      .example(
        "$0 image import debian-12-genericcloud-amd64.qcow2",
        "boots by itself; cloud-init is told the rest",
      )
      .example("podman save --format oci-archive -o kv.oci kv && $0 image import kv.oci", "")
      .example("$0 image import rootfs.tar.gz --sha256 9f86d08…", "")
      .epilogue(
        'A manifest names it by the digest that this prints: "image": { "import": "…" }. Import it on every node.',
      ),
  handler: async ({ file, sha256, name, cache, json }) => {
    if (sha256 !== undefined && !digestPattern.test(sha256))
      throw new AgentError("E_USAGE", "--sha256 is 64 lower-case hex digits.");
    const image = await storeAt(cache).import({
      path: resolve(file),
      source: name ?? basename(file),
      ...(sha256 === undefined ? {} : { digest: sha256 }),
      onProgress: say,
    });
    print(json, image, () => [
      `${image.kind} image ${image.digest}`,
      `from ${image.source ?? file} (${image.format ?? "?"}), ${mebibytes(image.bytes)} in ${image.directory}`,
    ]);
  },
};

const listCommand: CommandModule<object, Options> = {
  command: "list",
  aliases: ["ls"],
  describe: "Show the images of this machine",
  builder: (yargs) => yargs.options(options).example("$0 image list --json", ""),
  handler: async ({ cache, json }) => {
    const images = await storeAt(cache).list();
    print(json, images, () =>
      images.length === 0
        ? ["no images; make the base with: vm-upgrade image build"]
        : table([["digest", "kind", "from", "size", "made", "used by"], ...images.map(row)]),
    );
  },
};

function row(image: ListedImage): string[] {
  const from =
    image.kind === "base" ? `Debian packages${image.newest ? ", newest" : ""}` : (image.source ?? "");
  return [
    image.digest.slice(0, 12),
    image.kind,
    from,
    mebibytes(image.bytes),
    new Date(image.builtAtMs).toISOString().slice(0, 16).replace("T", " "),
    image.uses.length === 0 ? "-" : `${image.uses.length} disk${image.uses.length === 1 ? "" : "s"}`,
  ];
}

interface InspectOptions extends Options {
  readonly digest: string;
}

const inspectCommand: CommandModule<object, InspectOptions> = {
  command: "inspect <digest>",
  describe: "Show all that is known about one image",
  builder: (yargs) =>
    yargs
      .positional("digest", { type: "string", demandOption: true, describe: "Or the beginning of it" })
      .options(options)
      .example("$0 image inspect 4f1d", ""),
  handler: async ({ digest, cache, json }) => {
    if (!/^[0-9a-f]{1,64}$/.test(digest)) throw new AgentError("E_USAGE", "A digest has 1 to 64 hex digits.");
    const image = await storeAt(cache).inspect(digest);
    print(json, image, () =>
      Object.entries(image).map(([name, value]) => `${name.padEnd(16)}${shown(value)}`),
    );
  },
};

function shown(value: unknown): string {
  if (Array.isArray(value)) return value.length === 0 ? "-" : value.join(" ");
  return String(value);
}

interface PruneOptions extends Options {
  readonly "older-than-hours": number;
  readonly "keep-mib": number | undefined;
  readonly "dry-run": boolean;
}

const pruneCommand: CommandModule<object, PruneOptions> = {
  command: "prune",
  describe: "Remove images that nothing uses; the newest base and used ones stay",
  builder: (yargs) =>
    yargs
      .options({
        ...options,
        "older-than-hours": { type: "number", default: 0, describe: "Keep unused ones that are younger" },
        "keep-mib": { type: "number", describe: "Stop once all images together take at most so many MiB" },
        "dry-run": { type: "boolean", default: false, describe: "Only say what would go" },
      })
      .example("$0 image prune --dry-run", "")
      .example("$0 image prune --keep-mib 20480", "oldest first, until they fit"),
  handler: async (words) => {
    const { cache, json, "older-than-hours": olderThanHours, "keep-mib": keepMib, "dry-run": dryRun } = words;
    if (!(olderThanHours >= 0) || !((keepMib ?? 0) >= 0))
      throw new AgentError("E_USAGE", "--older-than-hours and --keep-mib are numbers from 0.");
    const report = await storeAt(cache).prune({
      olderThanMs: olderThanHours * 3_600_000,
      ...(keepMib === undefined ? {} : { bytesMax: keepMib * 1024 ** 2 }),
      dryRun,
    });
    print(json, report, () => [
      ...report.removed.map(
        ({ digest, kind, bytes }) =>
          `${dryRun ? "to go" : "removed"}  ${digest.slice(0, 12)}  ${kind}  ${mebibytes(bytes)}`,
      ),
      ...report.kept.map(({ digest, kind, why }) => `kept  ${digest.slice(0, 12)}  ${kind}  ${why}`),
      `${dryRun ? "would free" : "freed"} ${mebibytes(report.freedBytes)}`,
    ]);
  },
};

export const imageCommand: CommandModule = {
  command: "image",
  describe: "Build, import, look at and remove images",
  builder: (yargs) =>
    yargs
      .command(buildCommand)
      .command(importCommand)
      .command(listCommand)
      .command(inspectCommand)
      .command(pruneCommand)
      .demandCommand(1, "Name what to do: build, import, list, inspect or prune."),
  handler: () => {},
};
