/** The register services as signed releases, made as a user makes them. */
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { generateFleetKey, packRelease } from "@version-manager/upgrade-agent";

export const protocols = ["http", "resp", "udp"] as const;
export type Protocol = (typeof protocols)[number];
export const ports: Readonly<Record<Protocol, number>> = { http: 8080, resp: 6379, udp: 5300 };

export interface Releases {
  readonly trustedKey: string;
  readonly fleetKey: string;
  tarball(protocol: Protocol, version: number): string;
}

/** Only those of `wanted` protocols. `slow` ones are for machines of which all is emulated. */
export async function packReleases(
  directory: string,
  wanted: readonly Protocol[] = protocols,
  pace: "quick" | "slow" = "quick",
): Promise<Releases> {
  const keyFile = join(directory, "fleet.key");
  await generateFleetKey(keyFile);
  const prepare = fileURLToPath(new URL("../../registers/prepare.mjs", import.meta.url));
  await promisify(execFile)(process.execPath, [prepare, directory, pace]);
  const tarballs = new Map<string, string>();
  for (const protocol of wanted) {
    for (const version of [1, 2]) {
      const name = `registers-${protocol}-${version}`;
      const options = { directory: join(directory, name), outputDirectory: directory, keyFile };
      tarballs.set(name, (await packRelease(options)).tarball);
    }
  }
  return {
    trustedKey: await readFile(`${keyFile}.pub`, "utf8"),
    fleetKey: await readFile(keyFile, "utf8"),
    tarball: (protocol, version) => tarballs.get(`registers-${protocol}-${version}`) ?? "",
  };
}
