/** Looks at the machine for the doctor. Changes nothing. */
import { existsSync, readdirSync, readFileSync, statfsSync, statSync } from "node:fs";
import { createSocket } from "node:dgram";
import { connect, createServer } from "node:net";
import { probeKernelDataPath, probeRelayDataPath, RouterClient } from "@version-manager/version-router";
import { open } from "node:fs/promises";
import { release } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { recallProbe } from "../domain/probe.ts";
import { AgentClient } from "../api/client.ts";
import type { Facts, Purpose } from "./facts.ts";
import { probeFeatures } from "./features.ts";
import { PROGRAM_GROUPS } from "./programs.ts";

export interface GatherOptions {
  /** By default `node` where the agent has been configured, otherwise `testbed`. */
  readonly purpose?: Purpose;
  readonly agentConfig?: string;
  readonly agentSocket?: string;
  readonly routerSocket?: string;
  readonly libvirtSocket?: string;
  readonly stateDirectory?: string;
  /** Digest of the base image that domains would boot from. */
  readonly baseImage?: () => Promise<string | undefined>;
}

const STATE_DIRECTORY = "/var/lib/version-manager";
const SYSTEM_DIRECTORIES = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

function programsFound(): Set<string> {
  const directories = [...(process.env["PATH"] ?? "").split(delimiter), ...SYSTEM_DIRECTORIES];
  const wanted = PROGRAM_GROUPS.flatMap(({ programs }) => Object.keys(programs));
  return new Set(
    wanted.filter((program) => directories.some((directory) => existsSync(join(directory, program)))),
  );
}

/** Modules lie in `LIBRARIES/ARCHITECTURE/libvirt/connection-driver` on Debian, in `/usr/lib64/libvirt/…` elsewhere. */
function libvirtDrivers(): Set<string> {
  const libraries = existsSync("/usr/lib")
    ? readdirSync("/usr/lib").map((name) => join("/usr/lib", name))
    : [];
  const found = new Set<string>();
  for (const directory of [...libraries, "/usr/lib64"]) {
    const modules = join(directory, "libvirt/connection-driver");
    if (!existsSync(modules)) continue;
    for (const name of readdirSync(modules)) {
      const driver = /^libvirt_driver_(\w+)\.so$/.exec(name)?.[1];
      if (driver !== undefined) found.add(driver);
    }
  }
  return found;
}

function answers(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(socket, () => {
      probe.destroy();
      resolve(true);
    });
    probe.once("error", () => resolve(false));
  });
}

async function kvmOpens(): Promise<boolean> {
  try {
    await (await open("/dev/kvm", "r+")).close();
    return true;
  } catch {
    return false;
  }
}

function tcpTaken(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) => resolve(error.code === "EADDRINUSE"));
    server.listen(port, "0.0.0.0", () => server.close(() => resolve(false)));
  });
}

function udpTaken(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createSocket("udp4");
    socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code === "EADDRINUSE"));
    socket.bind(port, "0.0.0.0", () => socket.close(() => resolve(false)));
  });
}

async function portsTaken(): Promise<string[]> {
  const taken: string[] = [];
  if (await udpTaken(4078)) taken.push("udp/4078");
  for (const port of [4080, 4081]) if (await tcpTaken(port)) taken.push(`tcp/${port}`);
  return taken;
}

/** Undefined when no router answers, or not to us. */
async function routerSays(socket: string): Promise<Facts["routerSays"]> {
  try {
    const { dataPath, dataPathReason = "" } = await new RouterClient(socket, { timeoutMs: 5_000 }).status();
    return { dataPath, reason: dataPathReason };
  } catch {
    return undefined;
  }
}

async function domainClocks(socket: string): Promise<Facts["domainClocks"]> {
  try {
    const { versions } = await new AgentClient(socket).status();
    return versions.flatMap(({ service, version, clockOffsetMs }) =>
      clockOffsetMs === undefined ? [] : [{ domain: `${service} ${version}`, offsetMs: clockOffsetMs }],
    );
  } catch {
    return [];
  }
}

/** Free space for root on the file system that holds `path`, or will hold it. */
function freeMiB(path: string): number {
  if (!existsSync(path)) return freeMiB(dirname(path));
  const { bavail, bsize } = statfsSync(path);
  return (bavail * bsize) / 1024 ** 2;
}

function memoryAvailableMiB(): number {
  const line = /^MemAvailable:\s+(\d+) kB$/m.exec(readFileSync("/proc/meminfo", "utf8"));
  return Number(line?.[1] ?? 0) / 1024;
}

export async function gather(options: GatherOptions = {}): Promise<Facts> {
  const agentConfig = options.agentConfig ?? "/etc/version-manager/agent.json";
  const uid = process.getuid?.() ?? -1;
  const agentSocket = options.agentSocket ?? "/run/version-manager/agent.sock";
  const agentAnswers = await answers(agentSocket);
  return {
    purpose: options.purpose ?? (existsSync(agentConfig) ? "node" : "testbed"),
    uid,
    nodeVersion: process.versions.node,
    kernelRelease: release(),
    btf: existsSync("/sys/kernel/btf/vmlinux"),
    features: uid === 0 ? await probeFeatures() : undefined,
    dataPaths: { kernel: await probeKernelDataPath(), relay: await probeRelayDataPath() },
    routerSays: await routerSays(options.routerSocket ?? "/run/version-manager/router.sock"),
    programs: programsFound(),
    libvirtDrivers: libvirtDrivers(),
    libvirtAnswers: await answers(options.libvirtSocket ?? "/run/libvirt/libvirt-sock"),
    agentAnswers,
    kvmDevice: await kvmOpens(),
    virtualizationFlag: /^flags\s*:.*\b(vmx|svm)\b/m.test(readFileSync("/proc/cpuinfo", "utf8")),
    hypervisorsProven: await recallProbe(options.stateDirectory ?? STATE_DIRECTORY),
    baseImage: (await options.baseImage?.())?.slice(0, 12),
    diskFreeMiB: freeMiB(options.stateDirectory ?? STATE_DIRECTORY),
    memoryAvailableMiB: memoryAvailableMiB(),
    portsTaken: agentAnswers ? [] : await portsTaken(),
    domainClocks: agentAnswers ? await domainClocks(agentSocket) : [],
    nowMs: Date.now(),
    builtAtMs: statSync(import.meta.filename).mtimeMs,
  };
}
