/** Trees, keys and releases for tests, in a temporary directory that goes with the test. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { Test } from "tap";
import { packRelease, type PackedRelease } from "../../release/index.ts";
import { createVerifier, generateFleetKey, loadTrustedKeys, type Verifier } from "../../trust/index.ts";

export const manifestSource = {
  manifest: 1,
  service: "kv",
  version: 2,
  label: "2.0.0",
  hooks: { start: "node index.js", health: "true" },
};

export async function temporaryDirectory(t: Test): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "vm-release-test-"));
  t.teardown(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

export async function writeTree(
  directory: string,
  files: Readonly<Record<string, string | Uint8Array>>,
): Promise<void> {
  for (const [path, content] of Object.entries(files)) {
    const file = join(directory, path);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, content);
  }
}

export interface Fleet {
  readonly directory: string;
  readonly keyFile: string;
  readonly keyid: string;
  readonly trustDirectory: string;
  readonly verifier: Verifier;
}

/** A key, and a node that trusts it. */
export async function makeFleet(t: Test): Promise<Fleet> {
  const directory = await temporaryDirectory(t);
  const { keyid, privateKeyFile, publicKeyFile } = await generateFleetKey(
    join(directory, "keys", "fleet.key"),
  );
  const trustDirectory = join(directory, "trust");
  await writeTree(trustDirectory, { "fleet.pub": await readFile(publicKeyFile) });
  const verifier = createVerifier(await loadTrustedKeys(trustDirectory));
  return { directory, keyFile: privateKeyFile, keyid, trustDirectory, verifier };
}

export interface ReleaseOptions {
  readonly manifest?: object;
  readonly files?: Readonly<Record<string, string | Uint8Array>>;
  /** Distinguishes several releases of one fleet. */
  readonly name?: string;
}

export async function makeRelease(fleet: Fleet, options: ReleaseOptions = {}): Promise<PackedRelease> {
  const { manifest = {}, files = {}, name = "app" } = options;
  const directory = join(fleet.directory, name);
  const source = JSON.stringify({ ...manifestSource, ...manifest });
  await writeTree(directory, { "version.json": source, "index.js": "console.log('kv')\n", ...files });
  return packRelease({
    directory,
    outputDirectory: join(fleet.directory, `${name}-out`),
    keyFile: fleet.keyFile,
  });
}
