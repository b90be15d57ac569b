/**
 * What a first domain of Xen runs, inside an emulated machine: Xen's daemons, and libvirtd with the settings of the
 * product's testbed, all in the machine's own namespaces, because Xen puts the guests' interfaces there.
 */
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, openSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import {
  LIBVIRT_SOCKET,
  LIBVIRTD_PID_FILE,
  libvirtdCommand,
  writeLibvirtHome,
} from "@version-manager/testbed/libvirt";

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

async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; !(await condition()); tries++) {
    if (tries > 3_000) throw new Error(`${what} did not come true within five minutes`);
    await sleep(100);
  }
}

/** The processor's models, the file systems and daemons that Xen's tools want. */
export async function startXenDaemons(): Promise<void> {
  forgetVme();
  for (const directory of ["/var/log/xen/console", "/run/xen", "/run/xenstored", "/var/lib/xen"])
    mkdirSync(directory, { recursive: true });
  mkdirSync("/var/lib/xenstored", { recursive: true });
  execFileSync("mount", ["-t", "xenfs", "xenfs", "/proc/xen"]);
  start([join(XEN, "xenstored"), "--no-fork"], "/var/log/xen/xenstored.log");
  await until("xenstored's socket", () => existsSync("/run/xenstored/socket"));
  execFileSync(join(XEN, "xen-init-dom0"));
  const consoles = ["--log=guest", "--log-dir=/var/log/xen/console"];
  start([join(XEN, "xenconsoled"), "--interactive", ...consoles], "/var/log/xen/xenconsoled.log");
}

function listens(): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(LIBVIRT_SOCKET, () => {
      probe.destroy();
      resolve(true);
    });
    probe.once("error", () => resolve(false));
  });
}

async function runLibvirtd(): Promise<void> {
  start(libvirtdCommand(), "/var/log/libvirt/libvirtd.log");
  await until("libvirtd's socket", listens);
}

export async function startMachineLibvirtd(): Promise<void> {
  await writeLibvirtHome("/");
  await runLibvirtd();
}

/** Kills libvirtd and starts it again; the domains go on. Resolves when it listens. */
export async function restartMachineLibvirtd(): Promise<void> {
  const pid = Number(readFileSync(LIBVIRTD_PID_FILE, "utf8"));
  process.kill(pid, "SIGKILL");
  await until("the end of libvirtd", () => !existsSync(`/proc/${pid}`));
  await runLibvirtd();
}
