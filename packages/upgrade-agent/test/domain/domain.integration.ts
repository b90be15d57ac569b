/** Needs root. Real domains under a libvirtd of its own, in namespaces of its own; all of it is removed. */
import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import type { Test } from "tap";
import { QEMU_USER, startLibvirtd } from "@version-manager/testbed/libvirt";
import type { PrivateLibvirtd } from "@version-manager/testbed/libvirt";
import { examineHypervisors, openHypervisor, probeHypervisor } from "../../domain/index.ts";
import { Connection } from "../../domain/libvirt/connection.ts";
import { LibvirtHypervisor } from "../../domain/libvirt/driver.ts";
import { FLAVOURS } from "../../domain/libvirt/flavours.ts";
import { HELLO } from "../../domain/probe/guest.ts";
import { machineXml } from "../../domain/xml/machine.ts";
import { basePaths } from "../../image/bases.ts";
import { storeIn } from "../image/needs.ts";
import { compliance } from "./compliance.ts";
import { Router } from "./guests/router.ts";
import { workingContainers } from "./guests/subjects.ts";
import { consoleOf, containers, inside, machines, missing, openContainers } from "./real.ts";
import { machineSpec } from "./specs.ts";

/** Milliseconds for everything here: a minute and a half on a quiet machine. */
t.setTimeout(840_000);

const skip = missing();

/** Begins every name here, so that two runs of this file at once share nothing. */
const RUN = `vmdom-${process.pid}`;

async function eventually(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; !(await condition()); tries++) {
    if (tries > 1200) throw new Error(`${what} did not come true within a minute`);
    await sleep(50);
  }
}

/** A libvirtd and a directory for its guests; both go when `t` ends. */
async function setup(
  t: Test,
  name: string,
): Promise<{ readonly daemon: PrivateLibvirtd; readonly home: string }> {
  const home = mkdtempSync(join(tmpdir(), `${RUN}-`));
  chmodSync(home, 0o755);
  // Mounts that are made here later have to be seen by libvirtd, which looks from a namespace of its own.
  execFileSync("mount", ["--bind", home, home]);
  execFileSync("mount", ["--make-shared", home]);
  const daemon = await startLibvirtd({ root: join(home, "libvirt"), name });
  t.teardown(async () => {
    await daemon.stop();
    execFileSync("umount", [home]);
    rmSync(home, { recursive: true, force: true });
  });
  return { daemon, home };
}

t.test("domains under a real libvirtd", { skip }, async (t) => {
  const { daemon, home } = await setup(t, `${RUN}-main`);
  const { socket } = daemon;
  const router = await Router.start(daemon, home);
  t.teardown(() => router?.stop());

  t.test("the protocol, with libvirt's own test driver", async (t) => {
    const connection = await Connection.open({ socket, uri: "test:///default" });
    t.ok(connection.libVersion >= 6_000_000);
    t.match(await connection.listAllDomains(), [{ name: "test" }]);
    const names = await Promise.all(Array.from({ length: 20 }, () => connection.lookupDomainByName("test")));
    t.equal(names.length, 20, "calls in parallel");
    await t.rejects(connection.lookupDomainByName("nobody"), {
      code: "E_LIBVIRT",
      libvirtCode: 42,
      libvirtDomain: 12,
    });
    await t.rejects(connection.defineDomain("<domain type='test'><name>x</name><nonsense/></domain>"), {
      libvirtCode: 92,
      code: "E_LIBVIRT",
    });
    await connection.close();
    await t.rejects(Connection.open({ socket, uri: "nonsense:///" }), { code: "E_LIBVIRT" });
  });

  t.test("a domain of the test driver complies", async (t) => {
    // The driver forgets everything with its last connection, so one stays open.
    const connection = await Connection.open({ socket, uri: "test:///default" });
    const xml = (spec: Parameters<typeof machineXml>[1]): string => {
      const wrong = spec.memoryMiB === 7 ? "<nonsense/>" : "";
      return machineXml("qemu", spec)
        .replace('<domain type="qemu">', `<domain type="test">${wrong}`)
        .replace(/<features>.*<\/features>/s, "");
    };
    const hypervisor = new LibvirtHypervisor({ ...FLAVOURS.qemu, uri: "test:///default", xml }, socket);
    const consoleLog = join(home, "test.log");
    t.teardown(async () => {
      await hypervisor.close();
      await connection.close();
    });
    const find = async (name: string): Promise<boolean> =>
      (await connection.listAllDomains()).some((domain) => domain.name === name);
    compliance(t, RUN, {
      hypervisor,
      spec: (name) => Promise.resolve(machineSpec(name, { consoleLog })),
      brokenSpec: (name) => Promise.resolve(machineSpec(name, { consoleLog, memoryMiB: 7 })),
      crash: async (name) => await (await connection.lookupDomainByName(name)).destroy(),
      addForeign: async (name) => {
        const os = "<os><type>hvm</type></os>";
        await connection.defineDomain(
          `<domain type='test'><name>${name}</name><memory>8192</memory>${os}</domain>`,
        );
      },
      foreignExists: find,
      keepsConsole: true,
    });
  });

  t.test("containers comply", async (t) => {
    const hypervisor = await openContainers(daemon, router);
    t.teardown(() => hypervisor.close());
    const working = workingContainers(daemon, home, router);
    t.teardown(() => working.end());
    compliance(t, RUN, { ...containers(daemon, home), working, hypervisor });
  });

  t.test("emulated machines comply", async (t) => {
    const hypervisor = await openHypervisor({ kind: "qemu", socket });
    t.teardown(() => hypervisor.close());
    const linux = basePaths(await storeIn(home).build({}));
    compliance(t, RUN, { ...machines(daemon, home, "qemu", linux, router), hypervisor });
  });

  t.test(
    "root of a container is nobody on the host, and has its link, its limits and its facts",
    async (t) => {
      const hypervisor = await openContainers(daemon);
      t.teardown(() => hypervisor.close());
      const spec = await containers(daemon, home).spec(`${RUN}-inside`);
      await hypervisor.create(spec);
      t.teardown(() => hypervisor.destroy(spec.name));
      await eventually("the container's report", () => consoleOf(spec).includes("done"));
      const report = consoleOf(spec);
      t.match(report, /uid=0/);
      t.match(report, /^\s+0\s+100000\s+65536$/m, "root is uid 100000 on the host");
      t.match(report, /52:54:00:00:00:01/);
      t.match(report, /VM_HOSTNAME=n1-kv-2/);
      t.match(report, /ports 1024\s+2048/, "it may set its own range of ports");
      t.notMatch(report, /is ours/);
      const owner = inside(daemon, "sh", "-c", "ps -eo uid=,args= | grep '[v]m-init'").trim().split(/\s+/)[0];
      t.equal(owner, "100000");
      // The names of groups hold twenty characters; other cases may have left groups of theirs.
      const group = `machine/lxc-*-${spec.name.slice(0, 20)}.libvirt-lxc`;
      const limits = `memory/${group}/memory.limit_in_bytes cpu/${group}/cpu.cfs_quota_us`;
      const read = inside(daemon, "sh", "-c", `cd /sys/fs/cgroup && cat ${limits} 2>/dev/null || true`);
      if (read !== "")
        t.same(read.split("\n").map(Number), [64 * 1024 * 1024, 100_000], "memory and CPU are bounded");
    },
  );

  t.test("QEMU runs as an unprivileged user with its console kept, and outlives libvirtd", async (t) => {
    const hypervisor = await openHypervisor({ kind: "qemu", socket });
    t.teardown(() => hypervisor.close());
    const spec = await machines(daemon, home).spec(`${RUN}-restart`);
    const controller = new AbortController();
    const seen: string[] = [];
    const ended = (async () => {
      for await (const event of hypervisor.events(controller.signal)) seen.push(event.state);
    })();
    await hypervisor.create(spec);
    await eventually("the hello", () => consoleOf(spec).includes(HELLO));
    const pid = inside(daemon, "cat", `/run/libvirt/qemu/${spec.name}.pid`);
    t.equal(inside(daemon, "ps", "-o", "user:20=", "-p", pid), QEMU_USER);
    t.notMatch(
      inside(daemon, "grep", "CapEff", `/proc/${pid}/status`),
      /[1-9a-f]$/,
      "it has no capabilities",
    );

    for (const shared of ["kernel", "initramfs", "base.qcow2"]) {
      t.equal(statSync(join(home, shared)).uid, 0, `${shared} is not handed to it`);
    }

    await daemon.restart();
    t.same(
      await hypervisor.list(),
      [{ name: spec.name, state: "running" }],
      "an open connection is made anew",
    );
    t.equal(inside(daemon, "cat", `/run/libvirt/qemu/${spec.name}.pid`), pid);
    await hypervisor.create(spec);
    t.equal(
      inside(daemon, "cat", `/run/libvirt/qemu/${spec.name}.pid`),
      pid,
      "creating it again changes nothing",
    );
    await hypervisor.destroy(spec.name);
    await eventually("the last event", () => seen.at(-1) === "absent");
    t.equal(seen[0], "running");
    t.match(consoleOf(spec), HELLO);
    controller.abort();
    await ended;
  });

  t.test("a container outlives libvirtd too", async (t) => {
    const hypervisor = await openContainers(daemon);
    t.teardown(() => hypervisor.close());
    const subject = containers(daemon, home);
    const spec = await subject.spec(`${RUN}-outlives`);
    await hypervisor.create(spec);
    await daemon.restart();
    t.same(await hypervisor.list(), [{ name: spec.name, state: "running" }]);
    await subject.crash(spec.name);
    await eventually("its end is noticed", async () => (await hypervisor.state(spec.name)) === "stopped");
    await hypervisor.destroy(spec.name);
    t.same(await hypervisor.list(), []);
  });

  t.test("the probe boots something, removes it, and remembers", async (t) => {
    const options = { socket, cacheDirectory: join(home, "probe") };
    const verdicts = await examineHypervisors(options);
    t.same(
      verdicts.map(({ kind }) => kind),
      ["kvm", "xen", "qemu", "lxc"],
    );
    t.match(verdicts.slice(2), [{ works: true }, { works: true }], JSON.stringify(verdicts));
    const first = await probeHypervisor({ ...options, prefer: "qemu" });
    t.match(first, { kind: "qemu", reason: /said hello/ });
    t.same(await probeHypervisor({ ...options, prefer: "qemu" }), first);
    for (const uri of ["qemu:///system", "lxc:///system"]) {
      const connection = await Connection.open({ socket, uri });
      const names = (await connection.listAllDomains()).map((domain) => domain.name);
      t.same(
        names.filter((name) => name.startsWith("vm-probe")),
        [],
      );
      await connection.close();
    }
  });
});

t.test("domains of one name under two daemons never meet", { skip }, async (t) => {
  const sides = await Promise.all([setup(t, `${RUN}-left`), setup(t, `${RUN}-right`)]);
  for (const kind of ["lxc", "qemu"] as const) {
    const make = kind === "lxc" ? containers : machines;
    const hypervisors = await Promise.all(
      sides.map(({ daemon }) =>
        kind === "lxc" ? openContainers(daemon) : openHypervisor({ kind, socket: daemon.socket }),
      ),
    );
    const [left, right] = hypervisors;
    if (left === undefined || right === undefined) throw new Error("there are two sides");
    const specs = await Promise.all(sides.map(({ daemon, home }) => make(daemon, home).spec(`${RUN}-same`)));
    await Promise.all(
      hypervisors.map((hypervisor, side) => hypervisor.create(specs[side] ?? machineSpec("none"))),
    );
    await left.destroy(`${RUN}-same`);
    t.equal(await right.state(`${RUN}-same`), "running", `${kind}: the other one goes on`);
    await sleep(500);
    t.equal(await right.state(`${RUN}-same`), "running");
    await right.destroy(`${RUN}-same`);
    for (const hypervisor of hypervisors) await hypervisor.close();
  }
});

t.test("nothing is left of all this", { skip }, async (t) => {
  const groups = execFileSync("find", ["/sys/fs/cgroup", "-name", `${RUN}*`], { encoding: "utf8" });
  t.equal(groups, "");
  t.notMatch(readFileSync("/proc/self/mountinfo", "utf8"), RUN);
  t.notMatch(execFileSync("ps", ["-eo", "args"], { encoding: "utf8" }), RUN);
});
