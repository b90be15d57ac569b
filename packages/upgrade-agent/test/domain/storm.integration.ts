/**
 * Needs root and built packages. Domains are started and ended at random moments on a node of a testbed while its libvirtd is
 * killed again and again. Nothing may be left of them, and no start may be lost. `scripts/test --only storm --cases 200`
 * is the full size, half containers and half emulated machines.
 */
import { existsSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import t from "tap";
import type { Test } from "tap";
import { down, exec, kill, up } from "@version-manager/testbed";
import { createImageStore } from "../../image/index.ts";
import { missing } from "./real.ts";
import type { StormReport } from "./storm/worker.ts";

const testbed = "itstorm";
const DOMAINS = Number(process.env["CASES"] ?? 16);
const worker = fileURLToPath(new URL("storm/worker.ts", import.meta.url));
t.setTimeout(60_000 + DOMAINS * 30_000);

const skip = missing() || (!existsSync(fileURLToPath(new URL("../../dist", import.meta.url))) && "not built");

async function at(script: string, timeoutMs = 60_000): Promise<string> {
  const { code, stdout, stderr } = await exec({
    name: testbed,
    node: 1,
    command: ["sh", "-c", script],
    timeoutMs,
  });
  if (code !== 0) throw new Error(`${script}: ${stderr}`);
  return stdout;
}

/** All that domains are made of, as the node sees it. Waits for libvirtd. */
async function inventory(): Promise<Record<string, string>> {
  const looks = {
    // libvirtd may have been killed a moment ago: its supervisor starts it again.
    domains:
      'for u in qemu:///system lxc:///system; do timeout 30 sh -c "until virsh -c $u list --all --name; do sleep 0.2; done" || exit; done',
    links: "ip -o link | sed 's/^[0-9]*: //; s/[@:].*//'",
    mounts:
      "grep -c overlay /proc/self/mountinfo; grep -o 'version-manager/disks[^ ]*' /proc/self/mountinfo || true",
    disks: "ls /var/lib/version-manager/disks 2>/dev/null || true",
    groups: "find /sys/fs/cgroup -type d \\( -name 'lxc-*' -o -name 'qemu-*' \\)",
    processes: "ps -eo args | grep -E 'libvirt_lxc|qemu-system' | grep -v grep || true",
  };
  const found = await Promise.all(
    Object.entries(looks).map(async ([what, script]) => [what, (await at(script)).trim()] as const),
  );
  return Object.fromEntries(found);
}

/** Kills libvirtd every two seconds or so, until stopped. */
function torment(): { readonly stop: () => Promise<number> } {
  const controller = new AbortController();
  let kills = 0;
  const running = (async () => {
    while (!controller.signal.aborted) {
      // The first soon, because a small storm is over in three seconds.
      const pauseMs = kills === 0 ? 200 + Math.random() * 600 : 500 + Math.random() * 4500;
      await sleep(pauseMs, undefined, { signal: controller.signal }).catch(() => undefined);
      if (controller.signal.aborted) return;
      await kill({ name: testbed, node: 1, what: "libvirtd" }).then(
        () => kills++,
        () => undefined,
      );
    }
  })();
  const stop = async (): Promise<number> => {
    controller.abort();
    await running;
    return kills;
  };
  return { stop };
}

async function storm(t: Test, kind: "lxc" | "qemu", domains: number): Promise<void> {
  const before = await inventory();
  const tormentor = torment();
  const seed = 20_261_121;
  const command = [
    process.execPath,
    "--disable-warning=ExperimentalWarning",
    worker,
    kind,
    String(domains),
    String(seed),
  ];
  const { code, stdout, stderr } = await exec({
    name: testbed,
    node: 1,
    command: ["env", "-u", "NODE_OPTIONS", ...command],
    timeoutMs: domains * 30_000,
  });
  const kills = await tormentor.stop();
  t.equal(code, 0, stderr.slice(-2000));
  const report = JSON.parse(stdout.trim().split("\n").at(-1) ?? "{}") as StormReport;
  t.comment(
    `${kind}: ${JSON.stringify(report.ends)}; libvirtd killed ${kills} times, ${report.repeated} calls repeated`,
  );
  t.same(report.lost, [], "no start is lost");
  t.same(report.left, [], "nothing is listed");
  t.equal(
    Object.values(report.ends).reduce((sum, count) => sum + count, 0),
    domains,
  );
  t.ok(kills > 0, "libvirtd was killed");
  let after = await inventory();
  // The kernel removes a container's links and groups some time after its last process.
  for (let tries = 0; tries < 60 && JSON.stringify(after) !== JSON.stringify(before); tries++) {
    await sleep(500);
    after = await inventory();
  }
  t.same(after, before, "the node is as it was");
}

void t.test("a storm of starts and ends", { skip }, async (t) => {
  await createImageStore({
    cacheDirectory: "/var/cache/version-manager/images",
    stateDirectory: t.testdir(),
  }).build({});
  await down({ name: testbed });
  t.teardown(() => down({ name: testbed }));
  await up({ name: testbed, nodes: 1, commands: { agent: ["sleep", "36000"] } });
  const half = Math.ceil(DOMAINS / 2);
  await t.test("of containers", (t) => storm(t, "lxc", half));
  await t.test("of machines", (t) => storm(t, "qemu", DOMAINS - half));
});
