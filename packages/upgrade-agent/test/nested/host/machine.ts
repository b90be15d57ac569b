/**
 * An emulated machine with a root disk of `root.ts`: started, spoken to over SSH, and gone with this process however
 * that ends. It listens on this machine's loopback only, and reaches nothing by itself.
 */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { existsSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { randomInt } from "node:crypto";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { run } from "../../../image/build/command.ts";
import { generateDomainKey } from "../../../remote/index.ts";
import { makePayload } from "./payload.ts";
import type { Tree } from "./payload.ts";
import { nestedCache } from "./root.ts";
import type { HostRoot } from "./root.ts";

export interface HostOptions {
  /** a-z and 0-9; of the directory with its disks and console. */
  readonly name: string;
  readonly root: HostRoot;
  /** The second disk, mounted at /repository. */
  readonly payload: readonly Tree[];
  /** QEMU's -cpu. */
  readonly cpu: string;
  readonly vcpus: number;
  readonly memoryMiB: number;
  /** Modules that it loads at boot. */
  readonly modules: readonly string[];
  /** QEMU's words that say what boots, given Linux' command line; else `root.kernel` does. */
  readonly boot?: (commandLine: string) => readonly string[];
  readonly onProgress: (step: string) => void;
}

export interface Answer {
  readonly status: number;
  readonly output: string;
}

export interface Host {
  /** Words after `ssh` that run a shell command inside. */
  ssh(command: string): string[];
  /** Standard output and error together; lines are also handed out as they come. Status 255: SSH itself failed. */
  run(command: string, options: { timeoutMs: number; onLine?: (line: string) => void }): Promise<Answer>;
  /** Throws when there is no such file inside. */
  copyOut(path: string, to: string): Promise<void>;
  /** What the machine said on its serial port. */
  console(): string;
  /** Ends it and removes its disks. Again is fine. */
  stop(): Promise<void>;
}

/** Ms until SSH answers: 30 s on a quiet machine. */
const bootTimeoutMs = 600_000;

/** Ports that the kernel gives to nobody by itself. */
const ports = [20_000, 32_000] as const;

export async function startHost(options: HostOptions): Promise<Host> {
  removeAbandoned();
  const directory = join(nestedCache, `run-${process.pid}-${options.name}`);
  mkdirSync(directory, { recursive: true });
  const machine = new Machine(directory);
  try {
    options.onProgress("packing the repository");
    await makePayload(options.payload, join(directory, "payload.img"));
    const overlay = ["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", options.root.disk];
    await run("qemu-img", [...overlay, join(directory, "root.qcow2")]);
    options.onProgress("booting");
    const startedAt = performance.now();
    await machine.boot(options);
    options.onProgress(`it answers after ${Math.round((performance.now() - startedAt) / 1000)} s`);
    return machine;
  } catch (error) {
    const said = machine.console().split("\n").slice(-15).join("\n");
    await machine.stop();
    throw new Error(`the machine did not start: ${(error as Error).message}\n${said}`, { cause: error });
  }
}

/** Directories of processes that were killed with SIGKILL; their QEMU died with them. */
function removeAbandoned(): void {
  for (const name of existsSync(nestedCache) ? readdirSync(nestedCache) : []) {
    const pid = /^run-(\d+)-/.exec(name)?.[1];
    if (pid !== undefined && !existsSync(`/proc/${pid}`))
      rmSync(join(nestedCache, name), { recursive: true, force: true });
  }
}

class Machine implements Host {
  readonly #directory: string;
  readonly #privateKey: string;
  readonly #publicKey: string;
  #port = 0;
  #qemu: ChildProcess | undefined;
  /** What QEMU itself said, once it has ended. */
  #ended: Promise<string> = Promise.resolve("");
  readonly #onExit = (): void => this.#remove();
  readonly #onSignal = (): void => {
    this.#remove();
    process.exit(130);
  };

  constructor(directory: string) {
    this.#directory = directory;
    const { privateKey, publicKey } = generateDomainKey();
    this.#privateKey = join(directory, "key");
    this.#publicKey = publicKey;
    writeFileSync(this.#privateKey, privateKey, { mode: 0o600 });
    process.once("exit", this.#onExit);
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, this.#onSignal);
  }

  /** Another process may take the port in the meantime; then another one is tried. */
  async boot(options: HostOptions): Promise<void> {
    for (let attempt = 0; ; attempt++) {
      this.#start(options);
      try {
        return await this.#answers();
      } catch (error) {
        if (attempt > 8 || !/host forwarding/.test((error as Error).message)) throw error;
      }
    }
  }

  #start(options: HostOptions): void {
    this.#port = randomInt(...ports);
    // The kernel ends QEMU together with this process.
    const words = ["--pdeathsig", "SIGKILL", "--", "qemu-system-x86_64", ...this.#words(options)];
    const log = openSync(join(this.#directory, "qemu.log"), "w");
    const qemu = spawn("setpriv", words, { stdio: ["ignore", log, log] });
    this.#qemu = qemu;
    this.#ended = new Promise((resolve) => {
      qemu.once("close", () => resolve(this.#read("qemu.log")));
    });
  }

  #words({ root, cpu, vcpus, memoryMiB, modules, boot }: HostOptions): string[] {
    const key = Buffer.from(this.#publicKey).toString("base64");
    const kernel = "console=ttyS0 quiet net.ifnames=0 panic=-1 no_timer_check mitigations=off";
    const commandLine = `${kernel} nested.modules=${modules.join(",")} nested.key=${key}`;
    const linux = ["-kernel", root.kernel, "-initrd", root.initramfs, "-append", commandLine];
    const disk = (file: string, format: string): string[] => [
      "-drive",
      `file=${join(this.#directory, file)},if=virtio,format=${format},cache=unsafe`,
    ];
    return [
      ["-M", "pc", "-accel", "tcg,thread=multi,tb-size=512", "-cpu", cpu, "-smp", String(vcpus)],
      ["-m", String(memoryMiB), "-display", "none", "-vga", "none", "-no-reboot", "-monitor", "none"],
      boot?.(commandLine) ?? linux,
      disk("root.qcow2", "qcow2"),
      disk("payload.img", "raw"),
      ["-device", "virtio-rng-pci", "-device", "virtio-net-pci,netdev=n"],
      // Nothing leaves this machine: what the tests need is on the disks.
      ["-netdev", `user,id=n,restrict=on,hostfwd=tcp:127.0.0.1:${this.#port}-:22`],
      ["-serial", `file:${join(this.#directory, "console.log")}`],
    ].flat();
  }

  async #answers(): Promise<void> {
    const deadline = performance.now() + bootTimeoutMs;
    for (;;) {
      const ended = this.#ended.then((said): never => {
        throw new Error(`QEMU ended: ${said}`);
      });
      const { status } = await Promise.race([this.run("true", { timeoutMs: 60_000 }), ended]);
      if (status === 0) return;
      if (performance.now() > deadline) throw new Error(`no SSH within ${bootTimeoutMs} ms`);
      await sleep(1_000);
    }
  }

  ssh(command: string): string[] {
    const options = [
      ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR", "BatchMode=yes"],
      ["IdentitiesOnly=yes", "ConnectTimeout=30", "ServerAliveInterval=30", "ServerAliveCountMax=20"],
    ]
      .flat()
      .flatMap((option) => ["-o", option]);
    // Node is the repository's own. Emulated, compiling its modules takes longer than running them.
    const words = `export PATH="/repository/node_modules/.bin:$PATH" NODE_COMPILE_CACHE=/var/tmp/node; ${command}`;
    return [
      "-F",
      "none",
      "-i",
      this.#privateKey,
      ...options,
      "-p",
      String(this.#port),
      "root@127.0.0.1",
      words,
    ];
  }

  async run(
    command: string,
    options: { timeoutMs: number; onLine?: (line: string) => void },
  ): Promise<Answer> {
    const child = spawn("ssh", this.ssh(`{ ${command}\n} 2>&1`), { stdio: ["ignore", "pipe", "ignore"] });
    const timer = setTimeout(() => child.kill("SIGKILL"), options.timeoutMs);
    const lines: string[] = [];
    createInterface({ input: child.stdout }).on("line", (line) => {
      lines.push(line);
      options.onLine?.(line);
    });
    const status = await new Promise<number>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (code) => resolve(code ?? 255));
    });
    clearTimeout(timer);
    return { status, output: lines.join("\n") };
  }

  async copyOut(path: string, to: string): Promise<void> {
    const { status, output } = await this.run(`base64 '${path}'`, { timeoutMs: 120_000 });
    if (status !== 0) throw new Error(`${path} cannot be read inside: ${output}`);
    writeFileSync(to, Buffer.from(output, "base64"));
  }

  console(): string {
    return this.#read("console.log");
  }

  #read(name: string): string {
    const file = join(this.#directory, name);
    return existsSync(file) ? readFileSync(file, "latin1") : "";
  }

  async stop(): Promise<void> {
    this.#qemu?.kill("SIGKILL");
    await this.#ended;
    this.#remove();
    process.off("exit", this.#onExit);
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.off(signal, this.#onSignal);
  }

  #remove(): void {
    this.#qemu?.kill("SIGKILL");
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
