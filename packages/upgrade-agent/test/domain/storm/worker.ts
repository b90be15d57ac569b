/**
 * Runs on a node of a testbed: starts domains with the product's own parts (link, disk, domain) and ends each at a random
 * moment of its life, several at a time. Prints one JSON object, `StormReport`, as its last line.
 *
 *     node worker.ts KIND DOMAINS SEED
 */
import { execFileSync } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { RouterClient } from "@version-manager/version-router";
import { openHypervisor } from "../../../domain/index.ts";
import type { Hypervisor, HypervisorKind } from "../../../domain/hypervisor.ts";
import { createImageStore } from "../../../image/index.ts";
import type { ImageStore } from "../../../image/contract.ts";
import { generateDomainKey } from "../../../remote/index.ts";

/** How a domain's life ends. */
const ENDS = ["destroyed", "aborted", "killed"] as const;
type End = (typeof ENDS)[number];

export interface StormReport {
  readonly ends: Record<End, number>;
  /** Starts that were not asked to end and ended, or never came to be, with the reason. */
  readonly lost: readonly string[];
  /** Calls that were made again because libvirtd was away. */
  readonly repeated: number;
  /** Domains and disks that are listed after all were cleaned up. */
  readonly left: readonly string[];
}

const SERVICE = "storm";
const AT_ONCE = 4;
const LIFE_MS_MAX = 1500;
const TRIES = 8;
const RETRY_MS = 1000;

/** Park and Miller's generator: the same storm for the same seed, as far as the machine allows. */
function randomOf(seed: number): () => number {
  let state = (seed % 2_147_483_646) + 1;
  return () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
}

const [kind = "lxc", domains = "10", seed = "1"] = process.argv.slice(2);
const random = randomOf(Number(seed));
const router = new RouterClient("/run/version-manager/router.sock");
const images: ImageStore = createImageStore({
  cacheDirectory: "/var/cache/version-manager/images",
  stateDirectory: "/var/lib/version-manager",
});
const { publicKey } = generateDomainKey();
const lost: string[] = [];
let repeated = 0;
const hypervisor: Hypervisor = await persist(() => openHypervisor({ kind: kind as HypervisorKind }));
const ends: Record<End, number> = { destroyed: 0, aborted: 0, killed: 0 };

/** From inside, as far as the host can: the process that is the machine, or the container's first. */
function killFromInside(name: string): void {
  const pattern = kind === "lxc" ? `libvirt_lxc --name ${name} ` : `guest=${name},`;
  const script = `for p in $(pgrep -f -- '${pattern}'); do [ "$p" = $$ ] || kill -9 $p; done`;
  execFileSync("sh", ["-c", script], { stdio: "ignore" });
}

/** As the life cycle does with a stage: what fails because libvirtd is away, or was killed half-way, is tried again. */
async function persist<T>(work: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await work();
    } catch (error) {
      const { code } = error as { readonly code?: string };
      if (tries === TRIES || (code !== "E_NO_LIBVIRT" && code !== "E_LIBVIRT")) throw error;
      repeated++;
      await sleep(RETRY_MS);
    }
  }
}

async function start(version: number, signal: AbortSignal): Promise<void> {
  const name = `vm-${SERVICE}-${version}`;
  const link = await router.attachDomain({ service: SERVICE, version, kind: hypervisor.linkKind });
  const disk = await images.prepareDisk(name, hypervisor.diskKind);
  const identity = { hostname: name, service: SERVICE, version, authorizedKey: publicKey, link };
  const consoleLog = `/var/log/version-manager/${name}.console.log`;
  await hypervisor.create({ name, identity, disk, memoryMiB: 96, vcpus: 1, consoleLog }, signal);
}

async function live(version: number): Promise<void> {
  const name = `vm-${SERVICE}-${version}`;
  const end = ENDS[Math.floor(random() * ENDS.length)] ?? "destroyed";
  const lifeMs = random() * LIFE_MS_MAX;
  const abort = new AbortController();
  const started = persist(() => start(version, abort.signal));
  // It may fail before somebody waits for it.
  started.catch(() => undefined);
  if (end === "aborted") {
    await sleep(lifeMs);
    abort.abort();
    await started.catch((error: unknown) => note(error, name, abort.signal));
  } else {
    await started;
    await sleep(lifeMs);
    const state = await persist(() => hypervisor.state(name));
    if (state !== "running") lost.push(`${name} is ${state} after ${lifeMs.toFixed(0)} ms of its life`);
    if (end === "killed") killFromInside(name);
  }
  ends[end]++;
  await persist(() => hypervisor.destroy(name));
  await router.detachDomain({ service: SERVICE, version });
  await images.removeDisk(name);
}

/** An aborted start ends with the abort, or had happened before; everything else is a start that was lost. */
function note(error: unknown, name: string, signal: AbortSignal): void {
  if (signal.aborted && (error as Error).name === "AbortError") return;
  lost.push(`${name}: ${(error as Error).message}`);
}

const versions = Array.from({ length: Number(domains) }, (_, index) => index + 1);
async function lane(): Promise<void> {
  for (let version = versions.shift(); version !== undefined; version = versions.shift()) {
    const name = `vm-${SERVICE}-${version}`;
    await live(version).catch((error: unknown) => lost.push(`${name}: ${(error as Error).message}`));
  }
}
await Promise.all(Array.from({ length: AT_ONCE }, lane));
const left = [
  ...(await persist(() => hypervisor.list())).map(({ name }) => name),
  ...(await images.listDisks()),
];
await hypervisor.close();
process.stdout.write(`\n${JSON.stringify({ ends, lost, repeated, left } satisfies StormReport)}\n`);
