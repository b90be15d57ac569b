/**
 * One whole upgrade of the HTTP registers, for machines of which all is emulated: `slow-upgrade.ts kvm [NODES]` (or qemu,
 * xen, lxc) as root, of two nodes unless it is told otherwise. Says what it does and when; the last line of its output is
 * a report as JSON. `packages/upgrade-agent/test/nested` runs it on hypervisors that few machines have. Takes the newest
 * base image as it is.
 */
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { down, exec, up, type UpOptions } from "@version-manager/testbed";
import { check } from "../../linearizability/check.ts";
import { Clients } from "./clients.ts";
import { Fleet } from "./fleet.ts";
import { packReleases, ports } from "./releases.ts";

const name = "itslow";
const service = "registers-http";
const nodes = Number(process.argv[3] ?? 2);
/** Requests per second of each node; two clients with two requests at once. */
const RATE = 2;
const HABITS = ["--clients", "2", "--depth", "2", "--keys", "8", "--silence-ms", "180000"];
/** Milliseconds for a step in which machines start. */
const STEP_MS = 1_800_000;
/** Milliseconds between talks of daemons, in which an emulated machine would otherwise spend most of its time. */
const EXCHANGE_MS = 10_000;
/** Answers that each node gives while nothing else goes on, before and after each step. */
const CALM_REQUESTS = 40;

const beganAt = performance.now();
const say = (line: string): void => {
  process.stdout.write(`${Math.round((performance.now() - beganAt) / 1000)} s: ${line}\n`);
};

/** Until each node has a whole warm spare: the next version is then cloned, not booted. */
async function spares(fleet: Fleet): Promise<void> {
  const until = performance.now() + STEP_MS;
  for (const directory of fleet.directories) {
    const disks = join(directory, "var/lib/version-manager/disks");
    const isThere = (): boolean =>
      readdirSync(disks).some(
        (disk) => disk.startsWith("spare.") && readdirSync(join(disks, disk)).includes("spare.json"),
      );
    while (!isThere()) {
      if (performance.now() > until) throw new Error(`no spare below ${disks} within ${STEP_MS} ms`);
      await sleep(1_000);
    }
  }
}

/** Of version 2, per node: what it did when, by its agent, and how its domain came to be. */
async function storyOf(fleet: Fleet, fromMs: number): Promise<Readonly<Record<string, object>>> {
  const stories = (await fleet.digests()).map(async ({ node, versions }, index) => {
    const history = versions.find((row) => row.service === service && row.version === 2)?.history ?? [];
    const stages = history.map(({ stage, enteredAtMs }) => `${stage} ${seconds(enteredAtMs - fromMs)}`);
    const lines = (await fleet.agents[index]?.logs(service, 2)) ?? [];
    const start = lines.map(({ text }) => text).find((line) => /cloned/.test(line));
    return [node, { start, stages: stages.join(", ") }] as const;
  });
  return Object.fromEntries(await Promise.all(stories));
}

/** Says when a node has left more requests than before unanswered, or answered them wrongly. */
function tellOfFailures(clients: Clients): () => void {
  const told = new Map<string, number>();
  const timer = setInterval(() => {
    for (const [node, { failed, lost, misordered, faults }] of Object.entries(clients.figures)) {
      const bad = failed + lost + misordered;
      if (bad > (told.get(node) ?? 0))
        say(
          `${node}: ${lost} requests lost, ${failed} failed, ${misordered} misordered ${faults.join("; ")}`,
        );
      told.set(node, bad);
    }
  }, 1_000);
  return () => clearInterval(timer);
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

async function upgrade(fleet: Fleet, tarball: (version: number) => string, directory: string) {
  say("version 1 goes to the fleet");
  await fleet.operate("seed", tarball(1));
  await fleet.until(["http"], 1, "running", STEP_MS);
  const statuses = await Promise.all(fleet.agents.map(async (agent) => agent.status()));
  const hypervisor = statuses[0]?.hypervisor ?? "none";
  if (hypervisor === "kvm" || hypervisor === "qemu") {
    say("version 1 runs on every node; each makes a warm spare");
    await spares(fleet);
  }
  say(`clients begin: ${RATE} requests/s of each node`);
  const places = fleet.addresses.map((address, index) => `n${index + 1}=http://${address}:${ports.http}`);
  const clients = await Clients.start(name, places, RATE, HABITS);
  const quiet = tellOfFailures(clients);
  try {
    await clients.atLeast(CALM_REQUESTS);
    const startedAtMs = Date.now();
    say("vm-upgrade seed, on n1 alone");
    await fleet.operate("seed", tarball(2));
    await fleet.until(["http"], 2, "running", STEP_MS);
    say("version 2 runs on every node beside version 1");
    await clients.more(CALM_REQUESTS);
    await fleet.operate("retire", service, "1");
    await fleet.until(["http"], 1, "retired", STEP_MS);
    const upgradedMs = Date.now() - startedAtMs;
    say("version 1 is retired on every node");
    await clients.more(CALM_REQUESTS);
    await clients.stop();
    const seen = await clients.readBack(join(directory, "history.ndjson"));
    const figures = Object.values(seen.services);
    const sum = (of: (each: (typeof figures)[number]) => number): number =>
      figures.reduce((total, each) => total + of(each), 0);
    const digests = await fleet.digests();
    const isUpgraded = (row: { version: number; stage: string }): boolean =>
      row.stage === (row.version === 2 ? "running" : "retired");
    return {
      hypervisor,
      nodes,
      upgraded: digests.filter(({ versions }) => versions.length === 2 && versions.every(isUpgraded)).length,
      requests: sum(({ requests }) => requests),
      /** Without an answer, with a wrong one, or acknowledged and gone. */
      failed: sum(({ failed, misordered, lost, missing }) => failed + misordered + lost + missing.length),
      keys: sum(({ keys }) => keys),
      verdict: check(seen.history).verdict,
      faults: figures.flatMap(({ faults }) => faults),
      seconds: Math.round(upgradedMs / 1000),
      story: await storyOf(fleet, startedAtMs),
    };
  } finally {
    quiet();
    await clients.close();
  }
}

/** What the agents said last, for whoever looks for a fault. */
async function lastWords(): Promise<string> {
  const words = [];
  for (let node = 1; node <= nodes; node += 1) {
    const command = [
      "sh",
      "-c",
      "cd /var/log/version-manager && tail -n 30 agent.log; tail -n 10 *.console.log",
    ];
    const said = await exec({ name, node, command, timeoutMs: 60_000 }).catch((error: unknown) => ({
      stdout: String(error),
    }));
    words.push(`n${node}:\n${said.stdout}`);
  }
  return words.join("\n");
}

const directory = mkdtempSync(join(tmpdir(), "itslow-"));
try {
  const releases = await packReleases(directory, ["http"], "slow");
  await down({ name });
  await up({
    name,
    nodes,
    hypervisor: (process.argv[2] ?? "auto") as NonNullable<UpOptions["hypervisor"]>,
    readyTimeoutMs: STEP_MS,
    trustedKeys: [releases.trustedKey],
    fleetKey: releases.fleetKey,
    // Servers of registers do not talk among themselves: only agents tell each other of a version.
    agentConfig: { exchangeHintDelayMs: 0, spareQuietMs: 0, exchangeIntervalMs: EXCHANGE_MS },
    routerConfig: { exchangeIntervalMs: EXCHANGE_MS },
    onProgress: (step) => say(`testbed: ${step}`),
  });
  const tarball = (version: number): string => releases.tarball("http", version);
  const report = await upgrade(await Fleet.open(name), tarball, directory);
  const { upgraded, requests, failed } = report;
  if (failed > 0) say(await lastWords());
  for (const [node, story] of Object.entries(report.story)) say(`${node}: ${JSON.stringify(story)}`);
  say(
    `upgraded ${upgraded}/${nodes} nodes to 2; ${requests} client requests, ${failed} failed; ${report.seconds} s`,
  );
  process.stdout.write(`${JSON.stringify(report)}\n`);
} catch (error) {
  process.stdout.write(`${String(error)}\n${await lastWords()}\n`);
  process.exitCode = 1;
} finally {
  await down({ name });
  rmSync(directory, { recursive: true, force: true });
}
