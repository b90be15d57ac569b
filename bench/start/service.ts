/** The service that is started: small and real, a web server of busybox that answers out of the release. */
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import http from "node:http";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseManifest } from "@version-manager/upgrade-agent";
import type { Manifest } from "@version-manager/upgrade-agent";

const SERVICE_PORT = 8080;
const SAYS = "version 2 answers\n";
const PAUSE_MS = 10;
const ANSWER_TIMEOUT_MS = 2_000;
const DEADLINE_MS = 300_000;

/** Where a release is unpacked in a domain. */
export const APP_DIRECTORY = "/opt/app";

const VERSION = {
  manifest: 1,
  service: "start",
  version: 2,
  label: "2",
  hooks: {
    start: { command: `exec busybox httpd -f -p ${SERVICE_PORT} -h www` },
    health: { command: "true" },
  },
} as const;

export interface Release {
  readonly manifest: Manifest;
  readonly tarball: string;
}

/** In `directory`; a few hundred bytes. */
export function packService(directory: string): Release {
  mkdirSync(join(directory, "www"));
  writeFileSync(join(directory, "www", "index.html"), SAYS);
  const text = JSON.stringify(VERSION);
  writeFileSync(join(directory, "version.json"), text);
  const tarball = join(directory, "service.tar.gz");
  execFileSync("tar", ["-czf", tarball, "-C", directory, "www", "version.json"]);
  return { manifest: parseManifest(text), tarball };
}

/** Asks until it answers what it should. Throws after five minutes. */
export async function awaitAnswer(address: string): Promise<void> {
  const deadline = performance.now() + DEADLINE_MS;
  while ((await ask(address)) !== SAYS) {
    if (performance.now() > deadline) throw new Error(`The service at ${address} does not answer.`);
    await sleep(PAUSE_MS);
  }
}

function ask(address: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const request = http.get(
      { host: address, port: SERVICE_PORT, timeout: ANSWER_TIMEOUT_MS, agent: false },
      (response) => {
        let body = "";
        response.setEncoding("utf8").on("data", (text: string) => (body += text));
        response.once("end", () => resolve(body));
        response.once("error", () => resolve(undefined));
      },
    );
    request.once("timeout", () => request.destroy());
    request.once("error", () => resolve(undefined));
  });
}
