/**
 * Two nodes joined by one wire, each a network namespace with the real `vm-router`, and domains in namespaces of
 * their own. Everything bears the prefix vmrd- and this process's id, and goes with `close`.
 */
import { execFile, execFileSync, spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { RouterClient } from "../../control/client.ts";
import type { DomainLink } from "../../control/contract.ts";

const PREFIX = `vmrd-${process.pid}-`;
const MAIN = join(import.meta.dirname, "../../daemon/main.ts");

export interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Why this cannot be built here, or false. */
export function whyNoNamespaces(): string | false {
  if (process.getuid?.() !== 0) return "needs root for network namespaces";
  const probe = spawnCheck();
  return probe.out.includes("can carry the kernel")
    ? false
    : `needs the kernel data path: ${probe.out || probe.err}`;
}

function spawnCheck(): Outcome {
  try {
    return { code: 0, out: execFileSync(process.execPath, [MAIN, "--check"], { encoding: "utf8" }), err: "" };
  } catch (error) {
    return { code: 1, out: String((error as { stdout?: unknown }).stdout), err: String(error) };
  }
}

export class RealNode {
  readonly namespace: string;
  readonly client: RouterClient;
  readonly address: string;
  /** Where the wire has IPv6. */
  readonly address6: string;
  readonly pins: string;
  readonly socket: string;
  readonly #configFile: string;
  #router: ChildProcess | undefined;
  #log = "";

  constructor(directory: string, number: number, config: Readonly<Record<string, unknown>>) {
    this.namespace = `${PREFIX}n${number}`;
    this.address = `10.79.0.${number}`;
    this.address6 = `fd10:79::${number}`;
    this.pins = join(directory, "bpf", `n${number}`);
    this.socket = join(directory, `n${number}`, "router.sock");
    this.client = new RouterClient(this.socket, { patienceMs: 20_000 });
    this.#configFile = join(directory, `n${number}.json`);
    writeFileSync(
      this.#configFile,
      JSON.stringify({
        uplink: "uplink",
        serviceAddress: this.address,
        pinDirectory: this.pins,
        socket: this.socket,
        ...config,
      }),
    );
  }

  get log(): string {
    return this.#log;
  }

  get running(): boolean {
    return this.#router !== undefined && this.#router.exitCode === null && this.#router.signalCode === null;
  }

  /** `vm-router` with more arguments, to its end. */
  command(...words: string[]): Promise<Outcome> {
    return within(this.namespace, process.execPath, MAIN, "--config", this.#configFile, ...words);
  }

  /** `main`: of another release than this one. */
  start(main = MAIN): void {
    const words = [
      `--net=/run/netns/${this.namespace}`,
      process.execPath,
      main,
      "--config",
      this.#configFile,
    ];
    this.#router = spawn("nsenter", words, { stdio: ["ignore", "ignore", "pipe"] });
    this.#router.stderr?.on("data", (text: Buffer) => (this.#log += text.toString()));
  }

  async stop(signal: "SIGTERM" | "SIGKILL"): Promise<number | null> {
    const router = this.#router;
    if (router === undefined || !this.running) return null;
    const exit = new Promise<number | null>((resolve) => router.once("exit", resolve));
    router.kill(signal);
    return exit;
  }
}

export class Wire {
  readonly directory = mkdtempSync(join(tmpdir(), PREFIX));
  readonly nodes: readonly [RealNode, RealNode];
  readonly #namespaces: string[] = [];

  constructor(config: Readonly<Record<string, unknown>> = {}, hasIpv6 = false) {
    const bpffs = join(this.directory, "bpf");
    mkdirSync(bpffs);
    sh("mount", "-t", "bpf", "bpf", bpffs);
    const configOf = (number: number): Readonly<Record<string, unknown>> =>
      hasIpv6 ? { serviceAddress6: `fd10:79::${number}`, ...config } : config;
    this.nodes = [new RealNode(this.directory, 1, configOf(1)), new RealNode(this.directory, 2, configOf(2))];
    const [one, two] = this.nodes;
    for (const { namespace } of this.nodes) this.#addNamespace(namespace);
    const peer = ["type", "veth", "peer", "name", "uplink", "netns", two.namespace];
    sh("ip", "-n", one.namespace, "link", "add", "uplink", ...peer);
    for (const { namespace, address, address6 } of this.nodes) {
      sh("ip", "-n", namespace, "address", "add", `${address}/24`, "dev", "uplink");
      if (hasIpv6) sh("ip", "-n", namespace, "address", "add", `${address6}/64`, "dev", "uplink", "nodad");
      sh("ip", "-n", namespace, "link", "set", "uplink", "up");
    }
  }

  /** Makes the namespace that plays the domain at the other end of a veth link; gives its name. */
  domain(node: RealNode, link: DomainLink): string {
    const namespace = `${node.namespace}-${link.interfaceName}`;
    this.#addNamespace(namespace);
    const guest = link.guestInterfaceName ?? "";
    sh("ip", "-n", node.namespace, "link", "set", guest, "netns", namespace, "name", "eth0");
    for (const step of [
      `address add ${link.address}/32 dev eth0`,
      "link set eth0 up",
      `route add ${link.gateway} dev eth0 scope link`,
      `route add default via ${link.gateway}`,
      ...(link.address6 === undefined
        ? []
        : [
            `-6 address add ${link.address6}/128 dev eth0 nodad`,
            `-6 route add default via ${link.gateway6} dev eth0`,
          ]),
    ]) {
      sh("ip", "-n", namespace, ...step.split(" "));
    }
    return namespace;
  }

  async close(): Promise<void> {
    for (const node of this.nodes) {
      await node.stop("SIGKILL");
      await node.command("--destroy");
    }
    for (const namespace of this.#namespaces) sh("ip", "netns", "delete", namespace);
    sh("umount", join(this.directory, "bpf"));
    rmSync(this.directory, { recursive: true, force: true });
  }

  #addNamespace(name: string): void {
    sh("ip", "netns", "add", name);
    this.#namespaces.push(name);
    sh("ip", "-n", name, "link", "set", "lo", "up");
  }
}

export function sh(command: string, ...words: string[]): string {
  return execFileSync(command, words, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}

/** Runs a command in a network namespace, to its end. */
export function within(namespace: string, ...command: string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    execFile(
      "nsenter",
      [`--net=/run/netns/${namespace}`, ...command],
      { timeout: 60_000 },
      (error, out, err) => resolve({ code: error === null ? 0 : Number(error.code), out, err }),
    );
  });
}

/** Starts a server of both families that answers each datagram with `NAME` and the sender's address; ends with `kill`. */
export function udpServer(namespace: string, port: number, name: string): ChildProcess {
  const code = `
    for (const type of ["udp4", "udp6"]) {
      const socket = require("node:dgram").createSocket({ type, ipv6Only: type === "udp6" });
      socket.on("message", (_, from) => socket.send(process.argv[2] + " " + from.address, from.port, from.address));
      socket.bind(Number(process.argv[1]));
    }`;
  const words = [`--net=/run/netns/${namespace}`, process.execPath, "-e", code, String(port), name];
  return spawn("nsenter", words, { stdio: "ignore" });
}

/** Asks such a server until it answers, at most ten times in ten seconds. */
export async function udpAsk(namespace: string, address: string, port: number): Promise<string> {
  const code = `
    const socket = require("node:dgram").createSocket(process.argv[1].includes(":") ? "udp6" : "udp4");
    socket.on("message", (text) => { console.log(text.toString()); process.exit(0); });
    const ask = () => socket.send("?", Number(process.argv[2]), process.argv[1]);
    setInterval(ask, 1000); setTimeout(() => process.exit(1), 10000); ask();`;
  return (await within(namespace, process.execPath, "-e", code, address, String(port))).out.trim();
}
