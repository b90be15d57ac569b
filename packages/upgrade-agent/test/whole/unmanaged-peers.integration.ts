/**
 * What a release says of peers without Version Manager, from its manifest to the packets: signed, seeded, told to the
 * router by the agent, and the newest version that runs decides. A release's rate takes the same way.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { down, exec, residue, status, up } from "@version-manager/testbed";
import type { RouterStatus } from "@version-manager/version-router";
import { packRelease } from "../../release/index.ts";
import type { Manifest } from "../../release/index.ts";
import { generateFleetKey } from "../../trust/index.ts";
import { leftSince, skip } from "./demonstration.ts";

const name = "itbpeers";
const PORT = 7001;
const program = new URL("../../dist/cli/main.js", import.meta.url).pathname;

const SERVER = `
const socket = require("node:dgram").createSocket("udp4");
socket.on("message", (text, from) => socket.send("version " + process.argv[2], from.port, from.address));
socket.bind(${PORT});`;

/** Packs and signs a release of an echo service; returns its tarball. */
async function pack(root: string, version: number, says: Partial<Manifest>): Promise<string> {
  const directory = join(root, `v${version}`);
  mkdirSync(directory);
  writeFileSync(join(directory, "server.js"), SERVER);
  const manifest = {
    manifest: 1,
    service: "echo",
    version,
    label: `${version}.0.0`,
    ports: { peer: [`udp/${PORT}`], client: [] },
    ...says,
    hooks: { start: `node server.js ${version}`, health: "true" },
  };
  writeFileSync(join(directory, "version.json"), JSON.stringify(manifest));
  const packed = await packRelease({ directory, outputDirectory: root, keyFile: join(root, "fleet.key") });
  return packed.tarball;
}

async function onNode<T>(...words: string[]): Promise<T> {
  const command = [process.execPath, program, ...words, "--json"];
  const { code, stdout, stderr } = await exec({ name, node: 1, command, timeoutMs: 120_000 });
  if (code !== 0) throw new Error(stderr);
  return JSON.parse(stdout) as T;
}

async function untilRunning(version: number): Promise<void> {
  for (let waited = 0; waited < 480; waited += 1) {
    const rows = await onNode<{ version: number; stage: string; fault?: unknown }[]>("versions");
    const row = rows.find((candidate) => candidate.version === version);
    if (row?.stage === "running") return;
    if (row?.stage === "failed") throw new Error(JSON.stringify(row));
    await sleep(500);
  }
  throw new Error(`version ${version} does not run`);
}

const CLIENT = `
const socket = require("node:dgram").createSocket("udp4");
socket.once("message", (text) => { process.stdout.write(text); process.exit(); });
socket.send("?", ${PORT}, process.argv[1]);
setTimeout(() => process.exit(), 1000);`;

/** A datagram from the testbed's client, which has no Version Manager; "" without an answer in a second. */
async function ask(address: string): Promise<string> {
  const command = [process.execPath, "-e", CLIENT, address];
  return (await exec({ name, node: "client", command, timeoutMs: 20_000 })).stdout;
}

/** The agent tells its router a moment after the version runs. */
async function until(isSo: () => Promise<boolean>, what: string): Promise<void> {
  for (let tries = 0; tries < 60; tries += 1) {
    if (await isSo()) return;
    await sleep(500);
  }
  throw new Error(what);
}

void t.test("peers without Version Manager, as releases say", { skip, timeout: 900_000 }, async (t) => {
  const before = await residue();
  const root = t.testdir();
  const key = join(root, "fleet.key");
  await generateFleetKey(key);
  const first = await pack(root, 1, { unmanagedPeers: "allow" });
  const second = await pack(root, 2, { unmanagedPeers: "deny", networkMbitPerS: 50 });
  await down({ name });
  t.teardown(() => down({ name }));
  await up({
    name,
    nodes: 1,
    hypervisor: "lxc",
    readyTimeoutMs: 3e5,
    trustedKeys: [readFileSync(`${key}.pub`, "utf8")],
    fleetKey: readFileSync(key, "utf8"),
  });
  const address = (await status({ name })).nodes[0]?.address ?? "";
  const policies = async () => (await onNode<RouterStatus>("router", "status")).policies;

  await t.test("version 1 allows them: the client is answered", async (t) => {
    await onNode("seed", first);
    await untilRunning(1);
    await until(async () => (await ask(address)) === "version 1", "no answer");
    t.same(await policies(), { echo: { unmanagedPeers: "allow" } });
  });

  await t.test("version 2 denies them, from the moment that it runs: nobody answers any more", async (t) => {
    await onNode("seed", second);
    await untilRunning(2);
    await until(async () => (await ask(address)) === "", "still answered");
    t.same(await policies(), {});
    const { counters, domains } = await onNode<RouterStatus>("router", "status");
    t.same(
      domains.map(({ version, networkMbitPerS }) => [version, networkMbitPerS]),
      [
        [1, undefined],
        [2, 50],
      ],
      "each version has the rate of its release",
    );
    t.ok(counters.some(({ service, verdict }) => service === "echo" && verdict === "unmarked"));
  });

  await down({ name });
  t.same(await leftSince(before), [], "nothing is left behind");
});
