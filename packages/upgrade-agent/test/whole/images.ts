/** A fleet on which versions of one web service run, each on another kind of image. */
import { execFile } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { down, exec, status, up } from "@version-manager/testbed";
import { createImageStore, generateFleetKey, packRelease } from "../../index.ts";
import { cacheDirectory } from "../image/needs.ts";

const program = new URL("../../dist/cli/main.js", import.meta.url).pathname;
const scripts = new URL("../image/", import.meta.url).pathname;
const service = "site";
const port = 8080;

export interface WebRelease {
  readonly version: number;
  /** Files of the release, beside version.json, by what they are copied from. */
  readonly files?: Readonly<Record<string, string>>;
  readonly manifest: {
    readonly image?: object;
    readonly hooks: object;
    readonly memoryMiB?: number;
    readonly restart?: object;
    readonly stopTimeoutMs?: number;
  };
}

export class ImageFleet {
  readonly #name: string;
  readonly #nodes: number;
  readonly #directory: string;
  readonly #hypervisor: "lxc" | "qemu";

  constructor(options: { name: string; nodes: number; directory: string; hypervisor: "lxc" | "qemu" }) {
    this.#name = options.name;
    this.#nodes = options.nodes;
    this.#directory = options.directory;
    this.#hypervisor = options.hypervisor;
  }

  async up(): Promise<void> {
    const keyFile = join(this.#directory, "fleet.key");
    await generateFleetKey(keyFile);
    await createImageStore({ cacheDirectory, stateDirectory: this.#directory }).build({});
    await down({ name: this.#name });
    await up({
      name: this.#name,
      nodes: this.#nodes,
      hypervisor: this.#hypervisor,
      readyTimeoutMs: 300_000,
      trustedKeys: [readFileSync(`${keyFile}.pub`, "utf8")],
      // Nothing but news between agents makes a service known that its servers do not talk about.
      agentConfig: { exchangeHintDelayMs: 0, exchangeIntervalMs: 500 },
    });
  }

  down(): Promise<void> {
    return down({ name: this.#name });
  }

  /** Packs and seeds on the first node, and waits until it serves clients on every node. */
  async upgrade(release: WebRelease, timeoutMs: number): Promise<void> {
    await this.seed(release);
    await this.#untilRunning(release.version, timeoutMs);
  }

  /** Packs and seeds on the first node. */
  async seed({ version, files = {}, manifest }: WebRelease): Promise<void> {
    const directory = join(this.#directory, `v${version}`);
    mkdirSync(directory);
    for (const [name, source] of Object.entries(files))
      cpSync(source, join(directory, name), { recursive: true, dereference: true });
    const ports = { client: [`tcp/${port}`] };
    const health = { intervalMs: 1_000, successes: 2, deadlineMs: 300_000 };
    const source = { manifest: 1, service, version, label: `${version}.0.0`, ports, health, ...manifest };
    writeFileSync(join(directory, "version.json"), JSON.stringify(source));
    const { tarball } = await packRelease({
      directory,
      outputDirectory: this.#directory,
      keyFile: join(this.#directory, "fleet.key"),
    });
    await this.run(1, [process.execPath, program, "seed", tarball]);
  }

  /** The fleet's private key. */
  get keyFile(): string {
    return join(this.#directory, "fleet.key");
  }

  /** Runs a command on a node; throws unless it ends with 0. */
  async run(node: number | "client", command: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await exec({ name: this.#name, node, command, timeoutMs: 300_000 });
    if (code !== 0)
      throw new Error(`${command.join(" ")} on ${node} ended with ${code}: ${stderr || stdout}`);
    return stdout;
  }

  async addresses(): Promise<string[]> {
    const { nodes } = await status({ name: this.#name });
    return nodes.map(({ address }) => address);
  }

  /** What a client of the fleet gets from each node. */
  async pages(): Promise<string[]> {
    const pages: string[] = [];
    for (const address of await this.addresses()) {
      const script = `fetch("http://${address}:${port}/index.html").then(async (r) => process.stdout.write(await r.text()))`;
      pages.push((await this.run("client", [process.execPath, "-e", script])).trim());
    }
    return pages;
  }

  async #untilRunning(version: number, timeoutMs: number): Promise<void> {
    const until = Date.now() + timeoutMs;
    for (let node = 1; node <= this.#nodes;) {
      const command = [process.execPath, program, "versions", "--json"];
      const rows = JSON.parse(await this.run(node, command)) as {
        version: number;
        stage: string;
        fault?: { code: string; message: string };
      }[];
      const row = rows.find((candidate) => candidate.version === version);
      if (row?.stage === "running") node += 1;
      else if (row?.stage === "failed" || Date.now() > until)
        throw new Error(
          `version ${version} on node ${node}: ${JSON.stringify(row)}\n${await this.#logs(node, version)}`,
        );
      else await sleep(500);
    }
  }

  async #logs(node: number, version: number): Promise<string> {
    const words = [process.execPath, program, "logs", service, String(version)];
    const said = await exec({ name: this.#name, node, command: words, timeoutMs: 30_000 });
    const consoles = ["sh", "-c", `tail -n 30 /var/log/version-manager/*-${version}.console.log`];
    const shown = await exec({ name: this.#name, node, command: consoles, timeoutMs: 30_000 });
    return `${said.stdout}${said.stderr}\n${shown.stdout}`;
  }
}

/** A page for servers that serve a directory. */
export function page(directory: string, text: string): string {
  const place = join(directory, text.replaceAll(/\W+/g, "-"));
  mkdirSync(place);
  writeFileSync(join(place, "index.html"), `${text}\n`);
  return place;
}

export async function serviceArchive(
  output: string,
  format: "oci-archive" | "docker-archive",
): Promise<string> {
  await promisify(execFile)(join(scripts, "service-archive"), [output, format], { timeout: 600_000 });
  return output;
}

/** Path of the disk; its kernel and initramfs lie beside it. Built once for all tests. */
export async function cloudImage(): Promise<string> {
  const output = "/var/cache/version-manager/tests/cloud.qcow2";
  await promisify(execFile)(join(scripts, "cloud-image"), [output], {
    timeout: 1_800_000,
    maxBuffer: 64 * 1024 ** 2,
  });
  return output;
}

/** A root file system as somebody would tar it: static programs and a page. */
export async function rootTarball(directory: string, text: string): Promise<string> {
  const root = join(directory, "rootfs");
  mkdirSync(join(root, "bin"), { recursive: true });
  mkdirSync(join(root, "srv/www"), { recursive: true });
  cpSync("/bin/busybox", join(root, "bin/busybox"));
  writeFileSync(join(root, "srv/www/index.html"), `${text}\n`);
  const file = join(directory, "rootfs.tar.gz");
  await promisify(execFile)("tar", ["-C", root, "-czf", file, "."]);
  return file;
}

const local = `http://127.0.0.1:${port}/index.html`;

/** Hooks of servers made of busybox, wherever it lies in the root. */
export function busyboxHooks(directory: string): object {
  return {
    start: `exec busybox httpd -f -p ${port} -h ${directory}`,
    health: `busybox wget -q -O /dev/null ${local}`,
  };
}

export const entrypointHooks = { start: "exec vm-entrypoint", health: `wget -q -O /dev/null ${local}` };

export const pythonHooks = {
  start: `exec python3 -m http.server ${port} --directory /opt/app/www`,
  health: { command: `curl -sf -o /dev/null ${local}`, timeoutMs: 30_000 },
};
