/**
 * Needs root. Clones of one spare under a real libvirtd: what they must not share, and what becomes of a domain whose
 * spare is broken.
 */
import { execFile, execFileSync } from "node:child_process";
import {
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
  closeSync,
} from "node:fs";
import { basename, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import t from "tap";
import type { Test } from "tap";
import type { DomainSpec } from "../../../domain/hypervisor.ts";
import { createSpares } from "../../../domain/index.ts";
import type { Spares, SparesOptions } from "../../../domain/index.ts";
import { missing } from "../../image/needs.ts";
import { prepareGround, SIZE } from "./ground.ts";
import type { Ground } from "./ground.ts";

/** Emulated machines on a busy host. */
t.setTimeout(900_000);
const skip = missing("mmdebstrap", "libvirtd", "qemu-system-x86_64", "tini");
const worker = fileURLToPath(new URL("worker.ts", import.meta.url));

/** Facts of a domain that must be its own, by the commands that tell them. */
const OWN = {
  "machine id": "cat /etc/machine-id",
  "host key": "sha256sum </etc/dropbear/dropbear_ed25519_host_key",
  MAC: "cat /sys/class/net/eth0/address",
  "random bytes": "head -c 32 /dev/urandom | sha256sum",
  uuid: "cat /proc/sys/kernel/random/uuid",
  "boot id": "cat /proc/sys/kernel/random/boot_id",
  hostname: "cat /etc/hostname; hostname",
  identity: "cat /run/version-manager/identity",
} as const;
/** What the router relies on. */
const SEGMENTATION = "ethtool -k eth0 | grep tx-udp-segmentation";
const DELIMITER = "------";

interface Seen {
  readonly facts: readonly string[];
  readonly clockErrorMs: number;
}

async function lookInside(ground: Ground, spec: DomainSpec): Promise<Seen> {
  const session = await ground.session(spec);
  const commands = Object.values(OWN).join(`; echo ${DELIMITER}; `);
  const { output, exitCode } = await session.exec(commands, { timeoutMs: 60_000 });
  t.equal(exitCode, 0, output);
  // The answer lies between two looks at our own clock: an upper bound, and a busy machine may need some tries.
  let clockErrorMs = Number.POSITIVE_INFINITY;
  for (let tries = 0; tries < 20 && clockErrorMs >= 1000; tries++) {
    const before = Date.now();
    const theirs = Number((await session.exec("date +%s.%N")).output) * 1000;
    clockErrorMs = Math.max(theirs - before, Date.now() - theirs);
  }
  t.match(await session.exec(SEGMENTATION), { output: /^tx-udp-segmentation: off/ });
  await session.close();
  return { facts: output.split(`${DELIMITER}\n`).map((fact) => fact.trim()), clockErrorMs };
}

async function clonesDiffer(t: Test, ground: Ground, spares: Spares): Promise<void> {
  const specs = [await ground.spec(1), await ground.spec(2)] as const;
  const starts = await Promise.all(specs.map((spec) => spares.create(spec)));
  t.match(starts, [{ from: "spare" }, { from: "spare" }]);
  const same = starts[0]?.unseeded === starts[1]?.unseeded;
  t.comment(`without the seed both would have read ${same ? "the same" : "other"} random bytes`);
  const [one, two] = await Promise.all(specs.map((spec) => lookInside(ground, spec)));
  for (const [index, what] of Object.keys(OWN).entries()) {
    t.match(one?.facts[index], /./, `there is a ${what}`);
    t.not(one?.facts[index], two?.facts[index], `${what} is its own`);
  }
  t.match(one?.facts[2], specs[0].identity.link.mac);
  t.match(one?.facts[7], /VM_SERVICE=kv\nVM_VERSION=1/);
  for (const seen of [one, two])
    t.ok((seen?.clockErrorMs ?? Infinity) < 1000, `the clock is less than ${seen?.clockErrorMs} ms off`);
  for (const spec of specs) t.match(readFileSync(spec.consoleLog, "latin1"), /^version-manager: ready/m);
}

/** To everybody else it is a domain as any other. */
async function clonesAreOrdinary(t: Test, ground: Ground, spares: Spares): Promise<void> {
  const { hypervisor, inside, images } = ground;
  const [one, two] = [await ground.spec(1), await ground.spec(2)] as const;
  t.same(
    (await hypervisor.list()).toSorted((a, b) => a.name.localeCompare(b.name)),
    [one, two].map(({ name }) => ({ name, state: "running" })),
  );
  t.notMatch(
    inside(`virsh dumpxml --inactive ${one.name}`),
    /vm\.spare|type='unix'/,
    "what is kept boots cold",
  );
  t.match(
    await spares.create(one),
    { from: "cold", why: "its disk was booted before" },
    "again changes nothing",
  );
  const pid = inside(`cat /run/libvirt/qemu/${one.name}.pid`);
  await ground.daemon.restart();
  t.equal(await hypervisor.state(one.name), "running", "it outlives libvirtd");
  t.equal(inside(`cat /run/libvirt/qemu/${one.name}.pid`), pid);

  const before = await lookInside(ground, one);
  const session = await ground.session(one);
  await session.exec("echo kept >/root/kept; sync");
  await session.close();
  inside(`kill -9 ${pid}`);
  while ((await hypervisor.state(one.name)) === "running") await sleep(50);
  t.equal(await hypervisor.state(one.name), "stopped", "a crash leaves it stopped");
  t.match(await spares.create(one), { from: "cold", why: "its disk was booted before" });
  const again = await ground.session(one);
  t.match(await again.exec("cat /root/kept"), { output: "kept\n" }, "booted cold, with what it wrote");
  await again.close();
  const after = await lookInside(ground, one);
  for (const what of ["machine id", "host key", "MAC", "hostname"]) {
    const index = Object.keys(OWN).indexOf(what);
    t.equal(after.facts[index], before.facts[index], `${what} is still its own`);
  }
  for (const { name } of [one, two]) {
    await hypervisor.destroy(name);
    await images.removeDisk(name);
  }
}

/** A busy machine is no reason to give a clone up. */
const PATIENT = { confirmTimeoutMs: 180_000 } as const;

/** Fresh spares on the same ground, opened. */
async function openSpares(ground: Ground, change: Partial<SparesOptions> = {}): Promise<Spares> {
  const { hypervisor, images } = ground;
  const spares = createSpares({
    hypervisor,
    images,
    budgetMiB: 512,
    quietMs: 3_600_000,
    ...PATIENT,
    ...change,
  });
  await spares.open();
  return spares;
}

function directoryOf(ground: Ground): string {
  const disks = join(ground.home, "disks");
  const [name = "none"] = readdirSync(disks).filter((each) => each.startsWith("spare."));
  return join(disks, name);
}

/** A domain that could not be cloned runs, booted, and there is nothing but it. */
async function bootsInstead(t: Test, ground: Ground, spares: Spares, why: RegExp): Promise<void> {
  const { hypervisor, images } = ground;
  const spec = await ground.spec(3);
  t.match(await spares.create(spec), { from: "cold", why });
  t.match(await hypervisor.list(), [{ name: spec.name, state: "running" }]);
  const directory = join(ground.home, "disks", spec.name);
  t.same(readdirSync(directory).toSorted(), ["disk.json", "disk.qcow2"], "its disk is as any other");
  t.equal((await images.diskOrigin(spec.name))?.state, "used");
  const info = ground.inside(`qemu-img info --force-share ${directory}/disk.qcow2`);
  t.match(info, /backing file: .*\/root\.qcow2/, "on the image itself");
  t.notMatch(ground.inside(`virsh dumpxml ${spec.name}`), /type='unix'/);
  await hypervisor.destroy(spec.name);
  await images.removeDisk(spec.name);
  await spares.close();
  const left = existsSync(directoryOf(ground)) ? readdirSync(directoryOf(ground)) : [];
  t.same(
    left.filter((file) => /^c[0-9a-f]/.test(file)),
    [],
    "no socket and no memory of the clone",
  );
}

/** Of machines that became spares; the kernel may take a moment. Throws when one stays. */
async function tapsAreGone(inside: Ground["inside"]): Promise<void> {
  for (let tries = 0; inside("ip -o link show type tun").includes("vnet"); tries++) {
    if (tries > 600) throw new Error("a tap of libvirt's stayed for half a minute");
    await sleep(50);
  }
}

/** Owners too, as `cpSync` does not: QEMU may read a frozen disk by its group. */
function copyTree(from: string, to: string): void {
  execFileSync("cp", ["-a", "-T", from, to]);
}

/** Bytes in the middle of what QEMU wrote, of which every part says what it is. */
function corrupt(file: string): void {
  const handle = openSync(file, "r+");
  const { size } = statSync(file);
  for (let at = 100_000; at < size; at += 4096) writeSync(handle, Buffer.alloc(64, 0xa5), 0, 64, at);
  closeSync(handle);
}

t.test("warm spares", { skip }, async (t) => {
  const ground = await prepareGround(t);
  const { images, inside } = ground;
  /** The spare as it was made: nothing in it says where it lies. */
  const kept = join(ground.home, "kept");
  let place = "";
  const whole = (): void => copyTree(kept, place);

  await t.test("a spare is private, and nothing runs for it", async (t) => {
    const spares = await openSpares(ground);
    await spares.prepare(SIZE);
    await spares.close();
    t.same(await ground.hypervisor.list(), []);
    await tapsAreGone(inside);
    for (const [file, mode] of [
      ["memory.save", 0o600],
      ["frozen.qcow2", 0o440],
    ] as const) {
      const { mode: bits, uid } = statSync(join(directoryOf(ground), file));
      t.equal(bits & 0o777, mode, file);
      t.equal(uid, 0);
    }
    place = directoryOf(ground);
    copyTree(place, kept);
  });

  await t.test("two clones share nothing that must be one's own", async (t) => {
    const spares = await openSpares(ground);
    t.teardown(() => spares.close());
    await clonesDiffer(t, ground, spares);
    await t.test("and are domains as any other", (t) => clonesAreOrdinary(t, ground, spares));
  });

  await t.test("a clone that does not confirm is given up, and the domain boots", async (t) => {
    await bootsInstead(t, ground, await openSpares(ground, { confirmTimeoutMs: 1 }), /silent on its line/);
    t.same(await images.listDisks(), [], "the spare is not trusted again");
  });

  await t.test("a saved state that QEMU does not take", async (t) => {
    whole();
    corrupt(join(directoryOf(ground), "memory.save"));
    await bootsInstead(t, ground, await openSpares(ground), /a clone failed/);
  });

  await t.test("a spare that was made under other circumstances", async (t) => {
    whole();
    const record = join(directoryOf(ground), "spare.json");
    writeFileSync(
      record,
      readFileSync(record, "utf8").replace(/"circumstances":"[^"]*"/, '"circumstances":""'),
    );
    await bootsInstead(t, ground, await openSpares(ground), /another QEMU/);
    t.same(await images.listDisks(), [], "the old one goes");
  });

  await t.test("a spare whose disk is missing, and a clone that was given up or cut off", async (t) => {
    whole();
    const spares = await openSpares(ground);
    const spec = await ground.spec(3);
    const controller = new AbortController();
    const creating = spares.create(spec, controller.signal);
    await sleep(100);
    controller.abort();
    await t.rejects(creating, { name: "AbortError" });
    t.same(await ground.hypervisor.list(), []);
    t.equal((await images.diskOrigin(spec.name))?.state, "fresh", "as if it had not been");

    await images.stackDisk(spec.name, basename(directoryOf(ground)));
    await bootsInstead(t, ground, spares, /cut off/);
    const last = await openSpares(ground);
    rmSync(join(directoryOf(ground), "frozen.qcow2"));
    await bootsInstead(t, ground, last, /no spare of its shape/);
    t.same(await images.listDisks(), [], "what is left of it goes");

    whole();
    await bootsInstead(t, ground, await openSpares(ground, { budgetMiB: 0 }), /switched off/);
    t.same(await images.listDisks(), [], "and so does one that is not wanted any more");
  });

  await t.test("an agent that is killed while it makes one leaves nothing", async (t) => {
    const moments: Readonly<Record<string, () => boolean>> = {
      "its machine boots": () => inside("virsh list --name").includes("spare-"),
      "its memory is written": () => existsSync(join(directoryOf(ground), "memory.save")),
    };
    for (const [moment, reached] of Object.entries(moments)) {
      const child = execFile(process.execPath, [
        "--disable-warning=ExperimentalWarning",
        worker,
        ground.daemon.socket,
        ground.home,
      ]);
      while (child.exitCode === null && !reached()) await sleep(20);
      child.kill("SIGKILL");
      const spares = await openSpares(ground);
      await spares.close();
      t.same(await ground.hypervisor.list(), [], moment);
      // It may have come to its end before it was killed; nothing is ever half made.
      const left = await images.listDisks();
      t.ok(
        left.length === 0 || existsSync(join(directoryOf(ground), "spare.json")),
        `${moment}: no half disk`,
      );
      t.comment(`${moment}: ${left.length === 0 ? "nothing" : "a whole spare"} is left`);
      for (const name of left) await images.removeDisk(name);
      await tapsAreGone(inside);
    }
  });
});
