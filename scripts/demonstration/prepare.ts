/** Before the clock runs: a base image, two signed releases, a testbed in which version 1 runs everywhere. */
import { execFile } from "node:child_process";
import { mkdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { down, up } from "@version-manager/testbed";
import { createImageStore, generateFleetKey, packRelease } from "@version-manager/upgrade-agent";
import { Fleet, testbedName } from "./fleet.ts";
import type { DemoOptions } from "./options.ts";

export type Say = (line: string) => void;

export interface Releases {
  readonly directory: string;
  readonly keyFile: string;
  /** Tarballs by version. */
  readonly tarballs: ReadonlyMap<number, string>;
}

const example = fileURLToPath(new URL("../../../examples/moleculer/", import.meta.url));
const imageCache = "/var/cache/version-manager/images";
const deployTimeoutMs = 900_000;

export async function buildImage(say: Say): Promise<void> {
  const store = createImageStore({ cacheDirectory: imageCache, stateDirectory: "/var/lib/version-manager" });
  const image = await store.build({ onProgress: (step) => say(`image: ${step}`) });
  say(`base image ${image.digest.slice(0, 12)}, ${Math.round(image.bytes / 1024 / 1024)} MiB`);
}

/** Packs and signs both releases with a key made for this run. */
export async function packReleases(say: Say): Promise<Releases> {
  const directory = join(tmpdir(), `version-manager-demo-${process.pid}`);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const keyFile = join(directory, "fleet.key");
  await generateFleetKey(keyFile);
  await promisify(execFile)(join(example, "prepare"));
  const tarballs = new Map<number, string>();
  for (const version of [1, 2]) {
    const packed = await packRelease({
      directory: join(example, `v${version}`),
      outputDirectory: directory,
      keyFile,
    });
    tarballs.set(version, packed.tarball);
    say(
      `packed ${packed.manifest.service} ${packed.manifest.label}, ${Math.round(packed.bytes / 1024)} KiB, signed`,
    );
  }
  return { directory, keyFile, tarballs };
}

export async function bringUp(options: DemoOptions, releases: Releases, say: Say): Promise<Fleet> {
  await down({ name: testbedName });
  await up({
    name: testbedName,
    nodes: options.nodes,
    hypervisor: options.hypervisor,
    trustedKeys: [await readFile(`${releases.keyFile}.pub`, "utf8")],
    fleetKey: await readFile(releases.keyFile, "utf8"),
    onProgress: (step) => say(`testbed: ${step}`),
    readyTimeoutMs: 3e5,
  });
  const fleet = await Fleet.open();
  say("version 1 goes to the fleet");
  await fleet.seed(1, releases);
  await fleet.untilAll(1, "running", deployTimeoutMs, () => {});
  return fleet;
}

export async function takeDown(releases: Releases | undefined, keep: boolean): Promise<void> {
  if (releases !== undefined) await rm(releases.directory, { recursive: true, force: true });
  if (!keep) await down({ name: testbedName });
}
