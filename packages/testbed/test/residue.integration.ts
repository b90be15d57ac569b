/**
 * Needs root and a built router. Runs the real libvirtd and the real router on nodes, puts there what domains and
 * people leave behind, and shows that `residue` sees it all while it is there and nothing once it is gone.
 */
import { existsSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { down, exec, residue, up } from "../index.ts";
import type { ResidueEntry } from "../index.ts";
import { PROGRAMS } from "../options.ts";

const name = "itresidue";

async function at(node: number, script: string): Promise<string> {
  const { code, stdout, stderr } = await exec({
    name,
    node,
    command: ["sh", "-ec", script],
    timeoutMs: 60_000,
  });
  if (code !== 0) throw new Error(`${script}: ${stderr}`);
  return stdout;
}

/** Programs and maps that a node has pinned, as `residue` calls them: numbers are given once, in each kind. */
async function pinned(node: number): Promise<string[]> {
  const script = `for pin in $(find /sys/fs/bpf/version-manager -type f); do
    for kind in prog map; do bpftool --json $kind show pinned $pin 2>/dev/null | sed "s/^/$kind /"; echo; done; done`;
  const found = (await at(node, script)).matchAll(/^(prog|map) .*?"id":(\d+)/gm);
  return [...found].map(([, kind, id]) => `bpf-${kind === "prog" ? "program" : "map"} ${id}`);
}

/** The same names, for all that is on the machine. */
function numbered(entries: readonly ResidueEntry[]): Set<string> {
  return new Set(entries.filter(isBpf).map(({ kind, what }) => `${kind} ${what.split(" ")[0]}`));
}

function isBpf({ kind }: ResidueEntry): boolean {
  return kind === "bpf-program" || kind === "bpf-map";
}

const skip =
  process.getuid?.() !== 0
    ? "needs root"
    : existsSync(PROGRAMS["vm-router"])
      ? false
      : "needs a built router: npm run build";

void t.test("what a testbed leaves behind", { skip, timeout: 300_000 }, async (t) => {
  await down({ name });
  t.teardown(() => down({ name }));
  await up({ name, nodes: 2, commands: { agent: ["sleep", "3600"] } });
  const objects = [...(await pinned(1)), ...(await pinned(2))];
  t.ok(objects.length > 10, objects.join(", "));
  await at(
    1,
    "ip link add vm-s0 type veth peer name vm-g0; tc qdisc add dev vm-s0 clsact; nft add table ip left",
  );
  await at(1, "mkdir -p /var/lib/version-manager/disks/x; mount -t tmpfs x /var/lib/version-manager/disks/x");
  await at(2, "mkdir -p /sys/fs/cgroup/memory/machine/lxc-1-kv.libvirt-lxc/deeper || true");
  await at(2, "setsid sleep 3600 >/dev/null 2>&1 & sleep 0.1");

  const during = await residue();
  const kinds = new Set(during.filter((entry) => entry.testbed === name).map((entry) => entry.kind));
  for (const kind of ["netns", "process", "cgroup", "directory"] as const)
    t.ok(kinds.has(kind), `sees ${kind}`);
  const seen = numbered(during);
  t.strictSame(
    objects.filter((object) => !seen.has(object)),
    [],
    "sees every program and map",
  );

  await down({ name });
  const after = await residue();
  t.strictSame(
    after.filter((entry) => entry.testbed === name),
    [],
  );
  // The kernel frees maps some time after the last program that used them.
  let left = objects;
  for (let tries = 0; tries < 100 && left.length > 0; tries += 1) {
    const there = numbered(await residue());
    left = objects.filter((object) => there.has(object));
    await sleep(100);
  }
  t.strictSame(left, [], "no program or map is left");
});
