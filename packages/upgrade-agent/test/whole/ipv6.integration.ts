/**
 * A fleet whose nodes have IPv6 beside IPv4: containers bear the address, agents tell each other who has one, and two
 * versions on the same ports find each other's servers over it, each only its own.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { down, exec, residue, up } from "@version-manager/testbed";
import type { RouterStatus } from "@version-manager/version-router";
import { packRelease } from "../../release/index.ts";
import { generateFleetKey } from "../../trust/index.ts";
import { leftSince, skip } from "./demonstration.ts";

const name = "itasix";
const NODES = [1, 2] as const;
const program = new URL("../../dist/cli/main.js", import.meta.url).pathname;

/** Asks the other node's server twice a second by UDP and TCP, and keeps what it hears. */
const SERVER = `
const { createSocket } = require("node:dgram");
const { connect, createServer } = require("node:net");
const version = process.argv[2];
const identity = require("node:fs").readFileSync("/run/version-manager/identity", "utf8");
const own = /^VM_ADDRESS6=(.*)$/m.exec(identity)[1];
const peer = own === "fd10:77::1" ? "fd10:77::2" : "fd10:77::1";
const heard = new Set();
const hear = (text) => {
  heard.add(String(text));
  require("node:fs").writeFileSync("/run/heard", [...heard].sort().join("\\n"));
};
const answer = (how, address) => "version " + version + " at " + own + " saw " + address + " by " + how;
const socket = createSocket({ type: "udp6", ipv6Only: true });
socket.on("message", (text, from) =>
  text.toString() === "?" ? socket.send(answer("udp", from.address), from.port, from.address) : hear(text));
socket.bind(7001, "::");
createServer((client) => client.on("error", () => {}).end(answer("tcp", client.remoteAddress))).listen(7000, "::");
setInterval(() => {
  socket.send("?", 7001, peer);
  connect(7000, peer).on("data", hear).on("error", () => {});
}, 500);`;

/** Well when it has heard its own version from the other node both ways, under true addresses, and nothing else. */
const HEALTH = `
const version = process.argv[2];
const identity = require("node:fs").readFileSync("/run/version-manager/identity", "utf8");
const own = /^VM_ADDRESS6=(.*)$/m.exec(identity)[1];
const peer = own === "fd10:77::1" ? "fd10:77::2" : "fd10:77::1";
const wanted = ["tcp", "udp"].map((how) => "version " + version + " at " + peer + " saw " + own + " by " + how);
process.exit(require("node:fs").readFileSync("/run/heard", "utf8") === wanted.sort().join("\\n") ? 0 : 1);`;

async function pack(root: string, version: number): Promise<string> {
  const directory = join(root, `v${version}`);
  mkdirSync(directory);
  writeFileSync(join(directory, "server.js"), SERVER);
  writeFileSync(join(directory, "health.js"), HEALTH);
  const manifest = {
    manifest: 1,
    service: "six",
    version,
    label: `${version}.0.0`,
    ports: { peer: ["tcp/7000", "udp/7001"], client: [] },
    hooks: { start: `node server.js ${version}`, health: `node health.js ${version}` },
    health: { intervalMs: 1000, successes: 2, deadlineMs: 300_000 },
  };
  writeFileSync(join(directory, "version.json"), JSON.stringify(manifest));
  const packed = await packRelease({ directory, outputDirectory: root, keyFile: join(root, "fleet.key") });
  return packed.tarball;
}

async function onNode<T>(node: number, ...words: string[]): Promise<T> {
  const command = [process.execPath, program, ...words, "--json"];
  const { code, stdout, stderr } = await exec({ name, node, command, timeoutMs: 120_000 });
  if (code !== 0) throw new Error(stderr);
  return JSON.parse(stdout) as T;
}

async function untilRunning(node: number, version: number): Promise<void> {
  for (let waited = 0; waited < 600; waited += 1) {
    const rows = await onNode<{ version: number; stage: string; fault?: unknown }[]>(node, "versions");
    const row = rows.find((candidate) => candidate.version === version);
    if (row?.stage === "running") return;
    if (row?.stage === "failed") throw new Error(JSON.stringify(row));
    await sleep(500);
  }
  throw new Error(`version ${version} does not run on node ${node}`);
}

void t.test("a fleet with IPv6", { skip, timeout: 900_000 }, async (t) => {
  const before = await residue();
  const root = t.testdir();
  const key = join(root, "fleet.key");
  await generateFleetKey(key);
  const releases = [await pack(root, 1), await pack(root, 2)] as const;
  await down({ name });
  t.teardown(() => down({ name }));
  await up({
    name,
    nodes: NODES.length,
    ipv6: true,
    hypervisor: "lxc",
    readyTimeoutMs: 3e5,
    trustedKeys: [readFileSync(`${key}.pub`, "utf8")],
    fleetKey: readFileSync(key, "utf8"),
  });

  for (const version of [1, 2] as const) {
    await t.test(`version ${version} hears itself from the other node, and nothing else`, async (t) => {
      await onNode(1, "seed", releases[version - 1] ?? "");
      for (const node of NODES) await untilRunning(node, version);
      t.pass("its health check says so, on both nodes");
    });
  }

  await t.test("marks went both ways under each version, and nothing failed in the kernel", async (t) => {
    for (const node of NODES) {
      const { counters, serviceAddress6 } = await onNode<RouterStatus>(node, "router", "status");
      t.equal(serviceAddress6, `fd10:77::${node}`);
      for (const version of [1, 2])
        for (const wanted of ["marked", "delivered", "peer_tcp_in", "peer_tcp_out"])
          t.ok(
            counters.some((counter) => counter.version === version && counter.verdict === wanted),
            wanted,
          );
      t.notOk(counters.some(({ verdict }) => verdict === "kernel_error"));
    }
  });

  await down({ name });
  t.same(await leftSince(before), [], "nothing is left behind");
});
