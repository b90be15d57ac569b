/**
 * Runs inside an emulated machine with SVM, by plain Node; nested-kvm.long.ts reports its assertions. What
 * domain.integration.ts does for emulation and containers, on real KVM.
 */
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { startLibvirtd } from "@version-manager/testbed/libvirt";
import { examineHypervisors, openHypervisor, probeHypervisor } from "../../../domain/index.ts";
import { basePaths } from "../../../image/bases.ts";
import { compliance } from "../../domain/compliance.ts";
import { Router } from "../../domain/guests/router.ts";
import { inside, machines } from "../../domain/real.ts";

t.setTimeout(3_000_000);

const [directory] = process.argv.slice(2);
if (directory === undefined) throw new Error("usage: kvm.ts DIRECTORY-OF-THE-BASE");
const linux = basePaths({ directory });

const home = mkdtempSync(join(tmpdir(), "itk-"));
chmodSync(home, 0o755);
const daemon = await startLibvirtd({ root: join(home, "libvirt"), name: "itk" });
t.teardown(async () => {
  await daemon.stop();
  rmSync(home, { recursive: true, force: true });
});
const { socket } = daemon;
const router = await Router.start(daemon, home);
t.teardown(() => router?.stop());

t.test("the probe", async (t) => {
  const options = { socket, cacheDirectory: join(home, "probe"), bootTimeoutMs: 600_000 };
  const few = await probeHypervisor({ ...options, prefer: "auto" });
  t.match(few, { kind: "kvm", reason: /kernel of our own said hello/ }, "a few bytes of ours run on KVM");
  const whole = await probeHypervisor({ ...options, kernel: linux.kernel, prefer: "auto" });
  t.match(whole, { kind: "kvm", reason: /Linux guest said hello/ }, "Linux reaches user space on KVM");
  t.comment(whole.reason);
  const verdicts = await examineHypervisors(options);
  const [kvm, xen, qemu, lxc] = verdicts;
  t.match(kvm, { kind: "kvm", works: true });
  t.match(xen, { kind: "xen", works: false, reason: /does not run under Xen/ });
  t.match(qemu, { kind: "qemu", works: true });
  // This machine has control groups of version 2 alone, where a private libvirtd starts no containers (LIMITS).
  t.comment(`lxc: ${lxc?.reason}`);
});

t.test("doctor sees what the probe saw", (t) => {
  const program = join(process.cwd(), "packages/upgrade-agent/dist/cli/main.js");
  // Other things may be missing here, such as a configured agent.
  const script = '"$@" doctor --json || [ $? = 3 ]';
  const said = inside(daemon, "sh", "-c", script, "sh", process.execPath, program);
  const { checks } = JSON.parse(said) as { checks: { name: string; ok: boolean; found: string }[] };
  t.match(
    checks.find(({ name }) => name === "hardware virtualization"),
    { ok: true, found: /a boot decides/ },
  );
  for (const { name, ok, found } of checks) t.comment(`${ok ? "ok" : "not ok"}: ${name}: ${found}`);
  t.end();
});

t.test("machines on KVM comply", async (t) => {
  const hypervisor = await openHypervisor({ kind: "kvm", socket });
  t.teardown(() => hypervisor.close());
  compliance(t, "itk", { ...machines(daemon, home, "kvm", linux, router), hypervisor });
});
