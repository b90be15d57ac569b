/** Needs root. Makes a testbed with the real libvirtd and stand-ins for router and agent, and uses it in every way. */
import { execFileSync, spawn } from "node:child_process";
import { existsSync, readFileSync, statSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { attach, down, exec, hold, kill, list, residue, status, up } from "../index.ts";
import type { Place } from "../index.ts";

const name = "ituse";
const other = "itother";

/** Starts a child, as the agent starts proxies, that listens on a socket like theirs. */
const AGENT = `const { spawn } = require("node:child_process");
const proxy = 'require("node:net").createServer().listen("/run/version-manager/proxy-kv.sock")';
const fs = require("node:fs");
if (!fs.existsSync("/run/version-manager/proxy-kv.sock")) {
  spawn(process.execPath, ["-e", proxy], { detached: true, stdio: "ignore" });
}
setInterval(() => undefined, 1000);`;

const standIns = { router: ["sleep", "3600"], agent: [process.execPath, "-e", AGENT] };

async function at(node: Place, ...command: string[]): Promise<string> {
  const { code, stdout, stderr } = await exec({ name, node, command, timeoutMs: 60_000 });
  if (code !== 0) throw new Error(`${command.join(" ")} on ${node}: ${stderr}`);
  return stdout;
}

async function left(testbed: string): Promise<string[]> {
  const entries = await residue();
  return entries.filter((entry) => entry.testbed === testbed).map(({ kind, what }) => `${kind} ${what}`);
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 600; tries += 1) {
    if (await condition()) return;
    await sleep(100);
  }
  throw new Error("waited in vain");
}

const skip = process.getuid?.() === 0 ? false : "needs root";

void t.test("a testbed", { skip, timeout: 300_000 }, async (t) => {
  await down({ name });
  await down({ name: other });
  t.teardown(async () => {
    await down({ name });
    await down({ name: other });
  });
  const steps: string[] = [];
  const layout = await up({
    name,
    nodes: 2,
    rateMbit: 200,
    commands: standIns,
    hypervisor: "lxc",
    trustedKeys: ["KEY ONE", "KEY TWO"],
    fleetKey: "SECRET",
    onProgress: (step) => steps.push(step),
  });

  await t.test("says what it does, and then that it is ready", async (t) => {
    t.match(steps, ["write commands", "wire", "link n1", "link n2", "link client"]);
    const seen = await status({ name });
    t.match(seen, { state: "ready", rateMbit: 200, hypervisor: "lxc", clientAddress: "10.77.0.100" });
    for (const node of seen.nodes) {
      t.strictSame(
        node.services.map((service) => [service.name, service.ready]),
        [
          ["libvirtd", true],
          ["router", true],
          ["agent", true],
        ],
      );
    }
    t.ok(list().includes(name));
  });

  await t.test("nodes and client reach each other by address and by name", async () => {
    await at(1, "ping", "-c1", "-W5", "10.77.0.2");
    await at("n2", "ping", "-c1", "-W5", "n1");
    await at(1, "ping", "-c1", "-W5", "client");
    await at("client", "ping", "-c1", "-W5", "10.77.0.1");
  });

  await t.test("links are shaped at both ends, and users can look at them from outside", async (t) => {
    t.match(await at(1, "tc", "qdisc", "show", "dev", "uplink"), /tbf .*rate 200Mbit/);
    t.match(await at("client", "tc", "qdisc", "show", "dev", "uplink"), /tbf .*rate 200Mbit/);
    const command = ["netns", "exec", layout.nodes[0]?.netns ?? "", "ip", "-brief", "link", "show", "uplink"];
    t.match(execFileSync("ip", command).toString(), /uplink.*UP/);
  });

  await t.test("each node has its own files at the default paths", async (t) => {
    const config = JSON.parse(await at(2, "cat", "/etc/version-manager/agent.json")) as unknown;
    t.match(config, { node: "n2", serviceAddress: "10.77.0.2", peers: ["10.77.0.1"], hypervisor: "lxc" });
    const router = JSON.parse(await at(1, "cat", "/etc/version-manager/router.json")) as unknown;
    t.match(router, { uplink: "uplink", serviceAddress: "10.77.0.1", peers: ["10.77.0.2"] });
    t.equal(await at(2, "cat", "/etc/version-manager/trust/fleet-2.pub"), "KEY TWO");
    t.equal((await exec({ name, node: 2, command: ["cat", "/etc/version-manager/fleet.key"] })).code, 1);
    t.equal(await at(1, "cat", "/etc/version-manager/fleet.key"), "SECRET");
    t.equal(statSync(`${layout.nodes[0]?.directory}/etc/version-manager/fleet.key`).mode & 0o777, 0o600);
    await at(1, "touch", "/var/lib/version-manager/mark");
    t.equal((await exec({ name, node: 2, command: ["ls", "/var/lib/version-manager/mark"] })).code, 2);
    t.ok(existsSync(`${layout.nodes[0]?.directory}/var/lib/version-manager/mark`), "the host sees it too");
    t.notOk(existsSync("/var/lib/version-manager/mark"), "but not at the node's path");
    t.match(
      await at(1, "sh", "-c", "command -v vm-upgrade; command -v vm-router"),
      /bin\/vm-upgrade\n.*bin\/vm-router\n/,
    );
    t.equal((await at(1, "hostname")).trim(), "n1");
    await at(1, "mkdir", "/sys/fs/bpf/version-manager");
    t.notOk(existsSync("/sys/fs/bpf/version-manager"), "bpffs is the node's own");
    t.match((await at(1, "ls", "/sys/class/net")).split("\n"), ["lo", "uplink"]);
  });

  await t.test("libvirtd answers on each node, for machines and for containers", async (t) => {
    for (const node of [1, 2]) {
      for (const uri of ["qemu:///system", "lxc:///system"]) {
        t.equal(
          (await at(node, "virsh", "-c", uri, "list", "--all", "--name")).trim(),
          "",
          `${uri} on n${node}`,
        );
      }
      t.match(await at(node, "ls", "/var/cache/libvirt/qemu/capabilities"), /\.xml/, "QEMU needs no probe");
    }
  });

  await t.test("commands run in the node's control groups", async (t) => {
    const groups = (await at(1, "cat", "/proc/self/cgroup")).trim().split("\n");
    t.ok(
      groups.every((line) => line.endsWith(":/")),
      groups.join(" "),
    );
    const { pid = 0 } = (await status({ name })).nodes[0] ?? {};
    t.match(readFileSync(`/proc/${pid}/cgroup`, "utf8"), new RegExp(`:/vmt-${name}-n1$`, "m"));
  });

  await t.test("a killed service comes back, and the proxies it had started stay", async (t) => {
    const pidOf = async (service: string): Promise<number | undefined> =>
      (await status({ name })).nodes[0]?.services.find((candidate) => candidate.name === service)?.pid;
    const proxy = ["pgrep", "-f", "node -e require"];
    await until(async () => (await exec({ name, node: 1, command: proxy })).stdout !== "");
    const proxyPid = (await at(1, ...proxy)).trim();
    for (const what of ["agent", "router", "libvirtd"] as const) {
      const [killed] = await kill({ name, node: 1, what });
      t.ok(killed, `${what} was killed`);
      await until(async () => ![undefined, killed].includes(await pidOf(what)));
    }
    t.equal((await at(1, ...proxy)).trim(), proxyPid, "same proxy");
    t.strictSame(await kill({ name, node: 1, what: "proxy" }), [Number(proxyPid)], "now the proxy");
    await until(async () =>
      (await status({ name })).nodes.every((node) => node.services.every(({ ready }) => ready)),
    );
    await at(1, "virsh", "-c", "lxc:///system", "list");
  });

  await t.test("a service can be held down and let up again", async (t) => {
    const router = async (): Promise<string | undefined> =>
      (await status({ name })).nodes[1]?.services.find((service) => service.name === "router")?.state;
    await hold({ name, node: 2, service: "router", held: true });
    await until(async () => (await router()) === "held");
    await hold({ name, node: 2, service: "router", held: false });
    t.equal(await router(), "running");
  });

  await t.test("attach gives the exit status", async (t) => {
    t.equal(await attach({ name, node: 1, command: ["sh", "-c", "exit 7"] }), 7);
    t.equal(await attach({ name, node: "client", command: ["true"] }), 0);
  });

  await t.test("wrong uses get clear answers", async (t) => {
    await t.rejects(up({ name, nodes: 2 }), { code: "E_TESTBED_EXISTS" });
    t.equal((await status({ name })).state, "ready", "and harm nothing");
    await t.rejects(exec({ name, node: 3, command: ["true"] }), { code: "E_BAD_REQUEST" });
    await t.rejects(kill({ name, node: "client", what: "agent" }), { code: "E_BAD_REQUEST" });
    await t.rejects(status({ name: "itnone" }), { code: "E_NO_TESTBED" });
    await t.rejects(down({ name: "../etc" }), { code: "E_BAD_REQUEST" });
  });

  await t.test("another testbed lives beside it", async (t) => {
    const commands = { libvirtd: undefined, router: ["sleep", "3600"], agent: ["sleep", "3600"] };
    await up({ name: other, nodes: 1, commands });
    t.equal((await status({ name: other })).state, "ready");
    await down({ name: other });
    t.strictSame(await left(other), []);
    await at(1, "ping", "-c1", "-W5", "n2");
  });

  await t.test(
    "down leaves nothing, with a container's control group and a capture still there",
    async (t) => {
      await at(1, "mkdir", "-p", "/sys/fs/cgroup/memory/machine/lxc-1-kv.libvirt-lxc");
      const capture = spawn("ip", ["netns", "exec", `vmt-${name}-client`, "sleep", "3600"]);
      await sleep(200);
      await down({ name });
      t.strictSame(await left(name), []);
      await until(async () => capture.signalCode !== null);
      await down({ name });
      await t.rejects(status({ name }), { code: "E_NO_TESTBED" });
    },
  );
});
