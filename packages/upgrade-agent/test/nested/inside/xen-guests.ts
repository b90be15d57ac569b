/** Guests of the compliance suite on a real Xen: the base's kernel with a busybox that says hello and idles. */
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { release } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { LIBVIRT_SOCKET } from "@version-manager/testbed/libvirt";
import type { DomainSpec } from "../../../domain/hypervisor.ts";
import { Connection } from "../../../domain/libvirt/connection.ts";
import { FLAVOURS } from "../../../domain/libvirt/flavours.ts";
import { HELLO } from "../../../domain/probe/guest.ts";
import { cpio } from "../../../image/build/cpio.ts";
import type { Subject } from "../../domain/compliance.ts";
import type { Faults } from "../../domain/guests/faults.ts";
import type { Linux } from "../../domain/guests/guests.ts";
import { containerSpec, machineSpec } from "../../domain/specs.ts";
import { restartMachineLibvirtd } from "./xen-daemons.ts";
import { workingXenGuests } from "./xen-working.ts";

/** Takes the key that crashes it. */
const INIT = `#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
echo 1 >/proc/sys/kernel/sysrq
echo "${HELLO}"
while :; do sleep 60; done
`;

/** Milliseconds until a guest has said hello: 15 s, emulated and alone. */
const HELLO_TIMEOUT_MS = 300_000;

function ip(words: string): void {
  execFileSync("ip", words.split(" "), { stdio: ["ignore", "ignore", "pipe"] });
}

export function consoleOf(spec: DomainSpec): string {
  return existsSync(spec.consoleLog) ? readFileSync(spec.consoleLog, "latin1") : "";
}

async function withConnection<T>(work: (connection: Connection) => Promise<T>): Promise<T> {
  const connection = await Connection.open({ socket: LIBVIRT_SOCKET, uri: FLAVOURS.xen.uri });
  try {
    return await work(connection);
  } finally {
    await connection.close();
  }
}

async function versions(): Promise<Record<string, string>> {
  const { libVersion } = await withConnection(async (connection) => connection);
  const libvirt = [libVersion / 1_000_000, (libVersion / 1000) % 1000, libVersion % 1000].map(Math.floor);
  const xen = ["major", "minor", "extra"].map((part) =>
    readFileSync(`/sys/hypervisor/version/${part}`, "utf8").trim(),
  );
  const [major = "", minor = "", extra = ""] = xen;
  return {
    Xen: `${major}.${minor}${extra}`,
    libvirt: libvirt.join("."),
    Linux: /^[\d.]+/.exec(release())?.[0] ?? release(),
  };
}

/** What is left of a guest: itself, programs that bear its name, and the way of its console. */
function residue(name: string): readonly string[] {
  const guests = execFileSync("xl", ["list"], { encoding: "utf8" }).split("\n");
  const programs = execFileSync("ps", ["-eo", "args="], { encoding: "utf8" }).split("\n");
  const consoles = readdirSync("/var/log/xen/console");
  return [...guests, ...programs, ...consoles].filter((line) => line.includes(name));
}

/** Descriptions whose start fails. */
function broken(kernel: string, initramfs: string): Faults["broken"] {
  const changed = (spec: DomainSpec, change: object): DomainSpec => ({
    ...spec,
    disk: { ...spec.disk, kind: "qcow2", path: spec.disk.path, kernel, initramfs, ...change },
  });
  return {
    "no disk": (spec) => changed(spec, { path: "/no/disk" }),
    "no kernel": (spec) => changed(spec, { kernel: "/no/kernel" }),
    "no link": (spec) => {
      const link = { ...spec.identity.link, interfaceName: "vmdomnone", guestInterfaceName: "vmdomnone" };
      return { ...spec, identity: { ...spec.identity, link } };
    },
    "more memory than there is": (spec) => ({ ...spec, memoryMiB: 1024 * 1024 }),
  };
}

/** `linux` is that of our base. What a guest booted last is told by its console. */
export function xenGuests(home: string, linux: Linux): Omit<Subject, "hypervisor"> {
  const [kernel, initramfs] = [linux.kernel, join(home, "initramfs")];
  const busybox = readFileSync("/bin/busybox");
  const own = cpio([
    { kind: "directory", path: "bin", mode: 0o755 },
    { kind: "directory", path: "dev", mode: 0o755 },
    { kind: "directory", path: "proc", mode: 0o755 },
    { kind: "character", path: "dev/console", mode: 0o600, major: 5, minor: 1 },
    { kind: "file", path: "bin/busybox", mode: 0o755, contents: busybox },
    { kind: "file", path: "init", mode: 0o755, contents: Buffer.from(INIT) },
  ]);
  writeFileSync(initramfs, own);
  const base = join(home, "base.qcow2");
  execFileSync("qemu-img", ["create", "-q", "-f", "qcow2", base, "1M"]);
  const { identity } = containerSpec("any");
  const { interfaceName: host, guestInterfaceName: guest = "" } = identity.link;
  const specs = new Map<string, DomainSpec>();
  const spec = (name: string): Promise<DomainSpec> => {
    if (!existsSync(`/sys/class/net/${host}`)) ip(`link add ${host} type veth peer name ${guest}`);
    const path = join(home, `${name}.qcow2`);
    execFileSync("qemu-img", ["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", base, path]);
    const disk = { kind: "qcow2", path, kernel, initramfs } as const;
    const consoleLog = join(home, `${name}.log`);
    writeFileSync(consoleLog, "");
    const made = machineSpec(name, { identity, disk, memoryMiB: 128, consoleLog });
    specs.set(name, made);
    return Promise.resolve(made);
  };
  return {
    spec,
    brokenSpec: async (name) => {
      const whole = await spec(name);
      return { ...whole, disk: { kind: "qcow2", path: "/nowhere/disk", kernel, initramfs } };
    },
    // By its own kernel, which has to be up for that.
    crash: async (name) => {
      const known = specs.get(name);
      if (known === undefined) throw new Error(`no domain ${name} was made`);
      const deadline = performance.now() + HELLO_TIMEOUT_MS;
      while (!consoleOf(known).includes(HELLO)) {
        if (performance.now() > deadline) throw new Error(`no hello of ${name}: ${consoleOf(known)}`);
        await sleep(200);
      }
      execFileSync("xl", ["sysrq", name, "c"]);
    },
    addForeign: (name) =>
      withConnection(async (connection) => {
        const os = "<os><type arch='x86_64' machine='xenpv'>linux</type><kernel>/nowhere</kernel></os>";
        await connection.defineDomain(
          `<domain type='xen'><name>${name}</name><memory unit='MiB'>8</memory>${os}</domain>`,
        );
      }),
    foreignExists: (name) =>
      withConnection(async (connection) =>
        (await connection.listAllDomains()).some((domain) => domain.name === name),
      ),
    keepsConsole: true,
    versions,
    faults: { broken: broken(kernel, initramfs), residue, killLibvirtd: restartMachineLibvirtd },
    working: workingXenGuests(home, linux),
  };
}
