/**
 * Runs on the node: makes domains by the product's own parts (router, image store, hypervisor, SSH), as the stages of an
 * upgrade from `downloaded` on do, and notes when each part is done. Reads works and writes answers, see `contract.ts`.
 */
import { mkdtempSync, statSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { RouterClient } from "@version-manager/version-router";
import { basePaths, createImageStore } from "@version-manager/upgrade-agent";
import type { Answer, Work } from "./contract.ts";
import { Ground } from "./ground.ts";
import { packService } from "./service.ts";

/** The node's own; goes with it. */
const DIRECTORY = "/var/lib/version-manager";

const images = createImageStore({
  cacheDirectory: "/var/cache/version-manager/images",
  stateDirectory: DIRECTORY,
});
const router = new RouterClient("/run/version-manager/router.sock");
const release = packService(mkdtempSync(join(DIRECTORY, "release-")));

function say(answer: Answer): void {
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}

async function perform(ground: Ground, { kind, way, count }: Work): Promise<Answer> {
  try {
    if (kind === "disks") return { ok: true, kind, allMs: await ground.makeDisks(way, count) };
    return { ok: true, kind, ...(await ground.makeDomains(way, count)) };
  } catch (error) {
    return { ok: false, message: error instanceof Error ? error.message : String(error) };
  }
}

const base = await images.base();
if (base === undefined) throw new Error("E_NO_BASE_IMAGE: make one with: vm-upgrade image build");
const ground = await Ground.open({ router, images, base: basePaths(base), directory: DIRECTORY, release });
say({ ok: true, kind: "ready", imageBytes: statSync(basePaths(base).disk).size });
for await (const line of createInterface({ input: process.stdin })) {
  say(await perform(ground, JSON.parse(line) as Work));
}
await ground.close();
