/** Accidents and wrong uses: each wrong use gets its code and exit status, and leaves nothing, on a real node with a real agent. */
import { execFile } from "node:child_process";
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { down, exec, hold, residue, status, up } from "@version-manager/testbed";
import { generateFleetKey } from "../../trust/index.ts";
import { leftSince, skip } from "./demonstration.ts";

const name = "itrefuse";
const program = new URL("../../dist/cli/main.js", import.meta.url).pathname;

interface Outcome {
  readonly code: number;
  readonly error: { readonly code: string; readonly message: string };
}

/** `vm-upgrade … --json` on the host. */
function here(words: readonly string[], environment: NodeJS.ProcessEnv = process.env): Promise<Outcome> {
  return new Promise((resolve) => {
    const options = { env: environment, timeout: 120_000 };
    execFile(process.execPath, [program, ...words, "--json"], options, (error, _stdout, stderr) => {
      resolve({ code: typeof error?.code === "number" ? error.code : 0, error: errorIn(stderr) });
    });
  });
}

/** The same on the node. */
async function onNode(words: readonly string[]): Promise<Outcome> {
  const command = [process.execPath, program, ...words, "--json"];
  const { code, stderr } = await exec({ name, node: 1, command, timeoutMs: 120_000 });
  return { code, error: errorIn(stderr) };
}

function errorIn(stderr: string): Outcome["error"] {
  const line = stderr.split("\n").find((text) => text.startsWith('{"error"'));
  return line === undefined
    ? { code: "", message: stderr }
    : (JSON.parse(line) as { error: Outcome["error"] }).error;
}

const manifest = {
  manifest: 1,
  service: "echo",
  version: 5,
  label: "5.0.0",
  ports: {
    peer: [],
    client: ["tcp/8080"],
  },
  hooks: {
    start: "sleep 100000",
    health: "true",
  },
};

function releaseDirectory(root: string, changes: object): string {
  const directory = join(root, `release-${Math.random().toString(36).slice(2)}`);
  mkdirSync(directory);
  writeFileSync(join(directory, "version.json"), JSON.stringify({ ...manifest, ...changes }));
  return directory;
}

async function pack(directory: string, output: string, key: string): Promise<string> {
  const { code, error } = await here(["pack", directory, "--output", output, "--key", key]);
  if (code !== 0) throw new Error(`${error.code}: ${error.message}`);
  const { service, label } = JSON.parse(
    readFileSync(join(directory, "version.json"), "utf8"),
  ) as typeof manifest;
  return join(output, `${service}-${label}.tar.gz`);
}

async function untilStage(version: number, stages: readonly string[]) {
  for (let waited = 0; waited < 240; waited += 1) {
    const command = [process.execPath, program, "versions", "--json"];
    const { stdout } = await exec({ name, node: 1, command, timeoutMs: 30_000 });
    const rows = JSON.parse(stdout || "[]") as { version: number; stage: string; fault?: { code: string } }[];
    const row = rows.find((candidate) => candidate.version === version);
    if (row !== undefined && stages.includes(row.stage)) return row;
    await sleep(500);
  }
  throw new Error(`version ${version} did not become ${stages.join(" or ")}`);
}

void t.test("wrong uses", { skip, timeout: 900_000 }, async (t) => {
  const before = await residue();
  const root = t.testdir();
  const key = join(root, "fleet.key");
  await generateFleetKey(key);
  await generateFleetKey(join(root, "stranger.key"));
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
  const good = await pack(releaseDirectory(root, {}), root, key);

  await t.test("a file that is not a tarball, and one that is not there", async (t) => {
    const bad = join(root, "bad.tar.gz");
    writeFileSync(bad, "this is not gzip");
    t.match(await onNode(["seed", bad]), { code: 2, error: { code: "E_NOT_A_RELEASE" } });
    t.match(await onNode(["seed", join(root, "nowhere.tar.gz")]), {
      code: 2,
      error: { code: "E_NOT_A_RELEASE" },
    });
  });

  await t.test("a manifest with several faults is told all of them", async (t) => {
    const faulty = releaseDirectory(root, { version: 0, colour: "blue", service: "Not A Name" });
    const { code, error } = await here(["pack", faulty, "--output", root, "--key", key]);
    t.equal(code, 2);
    t.equal(error.code, "E_MANIFEST");
    for (const word of ["version", "colour", "service"]) t.match(error.message, word);
  });

  await t.test("unsigned, signed by a stranger, and altered releases", async (t) => {
    const unsigned = join(root, "unsigned.tar.gz");
    copyFileSync(good, unsigned);
    t.match(await onNode(["seed", unsigned]), { code: 4, error: { code: "E_RELEASE_UNSIGNED" } });
    const strange = join(root, "strange");
    const foreign = await pack(releaseDirectory(root, {}), strange, join(root, "stranger.key"));
    t.match(await onNode(["seed", foreign]), { code: 4, error: { code: "E_RELEASE_UNSIGNED" } });
    const envelope = JSON.parse(readFileSync(join(root, "echo-5.0.0.release.json"), "utf8")) as {
      signed: { manifest: { memoryMiB: number } };
    };
    envelope.signed.manifest.memoryMiB += 1;
    writeFileSync(join(root, "altered.release.json"), JSON.stringify(envelope));
    const altered = ["seed", good, "--signature", join(root, "altered.release.json")];
    t.match(await onNode(altered), { code: 4, error: { code: "E_SIGNATURE" } });
    const other = await pack(releaseDirectory(root, { label: "5.0.1" }), root, key);
    const swapped = ["seed", other, "--signature", join(root, "echo-5.0.0.release.json")];
    t.match(await onNode(swapped), { code: 4, error: { code: "E_RELEASE_ALTERED" } });
  });

  await t.test("a version number that does not grow", async (t) => {
    t.equal((await onNode(["seed", good])).code, 0);
    t.equal((await onNode(["seed", good])).code, 0, "seeding the same again is fine");
    await untilStage(5, ["running"]);
    const older = await pack(releaseDirectory(root, { version: 4, label: "4.0.0" }), root, key);
    t.match(await onNode(["seed", older]), { code: 4, error: { code: "E_VERSION_NOT_NEWER" } });
  });

  await t.test("a domain that is killed is made anew", async (t) => {
    const virsh = ["virsh", "-c", "lxc:///system", "destroy", "vm-n1-echo-5"];
    t.equal((await exec({ name, node: 1, command: virsh })).code, 0);
    await untilStage(5, ["creating-domain", "booting", "copying", "configuring", "starting"]);
    await untilStage(5, ["running"]);
  });

  await t.test("retiring the only version", async (t) => {
    t.match(await onNode(["retire", "echo", "5"]), { code: 4, error: { code: "E_RETIRE_TOO_EARLY" } });
    t.match(await onNode(["retire", "echo", "9"]), { code: 4 });
  });

  await t.test("a port that a host process holds fails the version and leaves nothing of it", async (t) => {
    const script = "require('net').createServer().listen(9090, '0.0.0.0')";
    const command = ["setsid", process.execPath, "-e", script];
    void exec({ name, node: 1, command, timeoutMs: 90_000 }).catch(() => {});
    await sleep(1_000);
    const ports = { peer: [], client: ["tcp/9090"] };
    const taken = await pack(
      releaseDirectory(root, { service: "greedy", version: 6, label: "6.0.0", ports }),
      root,
      key,
    );
    t.equal((await onNode(["seed", taken])).code, 0);
    const row = await untilStage(6, ["failed", "running"]);
    t.equal(row.stage, "failed");
    t.equal(row.fault?.code, "E_PORT_TAKEN");
    await sleep(3_000);
    const left = await exec({
      name,
      node: 1,
      command: ["sh", "-c", "ls /var/lib/version-manager/disks; ip -o link"],
    });
    t.notMatch(left.stdout, /greedy/);
    t.equal(
      (
        await exec({
          name,
          node: 1,
          command: ["sh", "-c", "virsh -c lxc:///system list --all | grep -c greedy"],
        })
      ).code,
      1,
    );
  });

  await t.test("nobody answers, no libvirt, wrong words", async (t) => {
    t.match(await here(["status", "--socket", join(root, "none.sock")]), {
      code: 3,
      error: { code: "E_NO_AGENT" },
    });
    t.match(await here(["frobnicate"]), { code: 2, error: { code: "E_USAGE" } });
    t.match(await here(["testbed", "status", "--name", "nosuch"]), {
      code: 3,
      error: { code: "E_NO_TESTBED" },
    });
    await hold({ name, service: "libvirtd", node: 1, held: true });
    await hold({ name, service: "agent", node: 1, held: true });
    t.match(await onNode(["daemon"]), { code: 3, error: { code: "E_NO_LIBVIRT" } });
    await hold({ name, service: "libvirtd", node: 1, held: false });
    await hold({ name, service: "agent", node: 1, held: false });
    await until(
      async () => (await status({ name })).nodes[0]?.services.every((service) => service.ready) ?? false,
    );
    await untilStage(5, ["running"]);
  });

  await down({ name });
  t.same(await leftSince(before), [], "nothing is left behind");
});

void t.test("without root", { skip, timeout: 60_000 }, async (t) => {
  const root = t.testdir({ "agent.json": JSON.stringify({ node: "n1", serviceAddress: "127.0.0.1" }) });
  const command = [process.execPath, program, "daemon", "--config", join(root, "agent.json"), "--json"];
  const as = ["--reuid=65534", "--regid=65534", "--clear-groups", ...command];
  const outcome = await new Promise<Outcome>((resolve) => {
    execFile("setpriv", as, (error, _stdout, stderr) => {
      resolve({ code: typeof error?.code === "number" ? error.code : 0, error: errorIn(stderr) });
    });
  });
  t.match(outcome, { code: 3, error: { code: "E_NOT_ROOT" } });
});

async function until(condition: () => Promise<boolean>): Promise<void> {
  for (let waited = 0; waited < 240; waited += 1) {
    if (await condition()) return;
    await sleep(250);
  }
  throw new Error("it did not come to be");
}
