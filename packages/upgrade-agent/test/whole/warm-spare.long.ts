/**
 * An agent whose first version is booted and whose second one is a clone: what it learned of the first it keeps as a
 * spare, and it says so. `scripts/test --only warm-spare`.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { down, exec, residue, up } from "@version-manager/testbed";
import { createImageStore, generateFleetKey, packRelease } from "../../index.ts";
import { cacheDirectory } from "../image/needs.ts";
import { leftSince, skip } from "./demonstration.ts";

const name = "itspare";
const program = new URL("../../dist/cli/main.js", import.meta.url).pathname;
const disks = "/var/lib/version-manager/disks";

async function at(...command: string[]): Promise<string> {
  const { code, stdout, stderr } = await exec({ name, node: 1, command, timeoutMs: 120_000 });
  if (code !== 0) throw new Error(`${command.join(" ")}: ${stderr || stdout}`);
  return stdout;
}

async function pack(root: string, version: number): Promise<string> {
  const directory = join(root, `v${version}`);
  mkdirSync(directory);
  const manifest = {
    manifest: 1,
    service: "idle",
    version,
    label: `${version}.0.0`,
    ports: { client: ["tcp/7001"] },
    hooks: { start: "sleep 100000", health: "true" },
  };
  writeFileSync(join(directory, "version.json"), JSON.stringify(manifest));
  const keyFile = join(root, "fleet.key");
  return (await packRelease({ directory, outputDirectory: root, keyFile })).tarball;
}

async function upgrade(tarball: string, version: number): Promise<string> {
  await at(process.execPath, program, "seed", tarball);
  for (let waited = 0; waited < 600; waited += 1) {
    const rows = JSON.parse(await at(process.execPath, program, "versions", "--json")) as {
      version: number;
      stage: string;
    }[];
    const row = rows.find((candidate) => candidate.version === version);
    if (row?.stage === "running") break;
    if (row?.stage === "failed") throw new Error(JSON.stringify(row));
    await sleep(500);
  }
  return await at(process.execPath, program, "logs", "idle", String(version));
}

void t.test("the second version is a clone", { skip, timeout: 1_200_000 }, async (t) => {
  const before = await residue();
  const root = t.testdir();
  await createImageStore({ cacheDirectory, stateDirectory: root }).build({});
  const keyFile = join(root, "fleet.key");
  await generateFleetKey(keyFile);
  await down({ name });
  t.teardown(() => down({ name }));
  await up({
    name,
    nodes: 1,
    hypervisor: "qemu",
    readyTimeoutMs: 300_000,
    trustedKeys: [readFileSync(`${keyFile}.pub`, "utf8")],
    agentConfig: { spareQuietMs: 0 },
  });
  t.match(await upgrade(await pack(root, 1), 1), /booted, not cloned: no spare of its shape is ready/);
  for (let waited = 0; waited < 600; waited += 1) {
    if ((await at("sh", "-c", `ls ${disks}/spare.*/spare.json 2>/dev/null || true`)) !== "") break;
    await sleep(500);
  }
  t.match(await upgrade(await pack(root, 2), 2), /cloned from a warm spare/);
  t.match(await at("virsh", "list", "--all", "--name"), /^vm-\S+-idle-1\nvm-\S+-idle-2\s*$/);
  await down({ name });
  // Other testbeds may come and go meanwhile: this one runs only when asked for.
  const left = (await leftSince(before)).filter((entry) => /itspare|spare-|vnet/.test(entry));
  t.same(left, [], "nothing is left behind");
});
