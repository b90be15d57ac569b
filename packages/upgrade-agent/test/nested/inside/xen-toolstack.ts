/**
 * Starts what a first domain of Xen runs, inside an emulated machine: Xen's daemons, and libvirtd with the settings of
 * the product's testbed, all in the machine's own namespaces, because Xen puts the guests' interfaces there.
 */
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, openSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { LIBVIRT_SOCKET, libvirtdCommand, writeLibvirtHome } from "@version-manager/testbed/libvirt";

const XEN = "/usr/lib/xen-4.17/bin";

/** Emulation lacks this feature, which all of libvirt's models want: it would find no model for the processor. */
function forgetVme(): void {
  const models = "/usr/share/libvirt/cpu_map";
  for (const name of readdirSync(models).filter((file) => /^x86_(?!features).*\.xml$/.test(file))) {
    const file = join(models, name);
    const kept = readFileSync(file, "utf8").replaceAll(/^.*<feature name=.vme.\/>.*\n/gm, "");
    writeFileSync(file, kept);
  }
}

/** A daemon of its own session: SSH would wait for it otherwise. */
function start(command: readonly string[], log: string): void {
  const [file = "", ...words] = command;
  const output = openSync(log, "a");
  spawn(file, words, { stdio: ["ignore", output, output], detached: true, cwd: "/" }).unref();
}

async function until(what: string, condition: () => boolean): Promise<void> {
  for (let tries = 0; !condition(); tries++) {
    if (tries > 1200) throw new Error(`${what} did not come true within two minutes`);
    await sleep(100);
  }
}

forgetVme();
for (const directory of ["xen/console", "libvirt/libxl"])
  mkdirSync(join("/var/log", directory), { recursive: true });
for (const directory of ["/run/xen", "/run/xenstored", "/var/lib/xenstored", "/var/lib/xen"])
  mkdirSync(directory, { recursive: true });
execFileSync("mount", ["-t", "xenfs", "xenfs", "/proc/xen"]);
start([join(XEN, "xenstored"), "--no-fork"], "/var/log/xen/xenstored.log");
await until("xenstored's socket", () => existsSync("/run/xenstored/socket"));
execFileSync(join(XEN, "xen-init-dom0"));
const consoles = ["--log=guest", "--log-dir=/var/log/xen/console"];
start([join(XEN, "xenconsoled"), "--interactive", ...consoles], "/var/log/xen/xenconsoled.log");
await writeLibvirtHome("/");
start(libvirtdCommand(), "/var/log/libvirt/libvirtd.log");
await until("libvirtd's socket", () => existsSync(LIBVIRT_SOCKET));
