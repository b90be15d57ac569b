/**
 * Two nodes, a bridge and a client, each a network namespace, for the tests of the data path. Domains are namespaces
 * at the end of veth links. Everything bears the prefix vmdp- and this process's id, and goes with `close`.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Actor } from "./actor-handle.ts";
import type { DomainLink, LinkKind } from "../../control/contract.ts";
import type { DataPath, DataPathConfig } from "../../datapath/datapath.ts";
import { serviceTag } from "../../mark/index.ts";

const CABLE = fileURLToPath(new URL("tap-cable.ts", import.meta.url));
const PREFIX = `vmdp-${process.pid}-`;
export const CLIENT = "10.78.0.100";
export const CLIENT6 = "fd10:78::64";

export function sh(command: string, ...args: string[]): string {
  return execFileSync(command, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}

export class LabNode {
  readonly lab: Lab;
  readonly number: number;
  readonly address: string;
  /** In a lab that has IPv6. */
  readonly address6: string;
  readonly namespace: string;
  /** With the relay, its state file is beside. */
  readonly pins: string;
  readonly dataPath: DataPath["kind"];
  /** A process beside the daemon, in the host's namespace. */
  host!: Actor;
  #daemon: Actor | undefined;

  constructor(lab: Lab, number: number, dataPath: DataPath["kind"]) {
    this.lab = lab;
    this.dataPath = dataPath;
    this.number = number;
    this.address = `10.78.0.${number}`;
    this.address6 = `fd10:78::${number}`;
    this.namespace = `${PREFIX}n${number}`;
    this.pins = join(dataPath === "kernel" ? lab.bpffs : lab.directory, `node${number}`);
  }

  /** A new daemon, with another configuration if it is given; an earlier one is killed. */
  async start(changes: Partial<DataPathConfig> = {}): Promise<void> {
    await this.#daemon?.kill();
    this.#daemon = await Actor.start(this.namespace);
    this.host ??= await Actor.start(this.namespace);
    const config = {
      uplink: "uplink",
      serviceAddress: this.address,
      pinDirectory: this.pins,
      ...(this.lab.hasIpv6 ? { serviceAddress6: this.address6 } : {}),
      ...changes,
    };
    await this.#daemon.call("open", config, this.dataPath);
  }

  async killDaemon(): Promise<void> {
    await this.#daemon?.kill();
  }

  call<M extends Exclude<keyof DataPath, "kind">>(
    method: M,
    ...args: Parameters<Required<DataPath>[M]>
  ): ReturnType<Required<DataPath>[M]> {
    return this.#daemon?.call("dataPath", method, ...args) as ReturnType<Required<DataPath>[M]>;
  }

  attach(slot: number, version: number, service = "kv", link: LinkKind = "veth"): Promise<DomainLink> {
    return this.call("attachDomain", { slot, service, tag: serviceTag(service), version, link });
  }

  /** A domain as a container would be: the guest's end in a namespace of its own, with the node's address. */
  async domain(slot: number, version: number, service = "kv"): Promise<Actor> {
    const link = await this.attach(slot, version, service);
    const namespace = this.lab.addNamespace(this.domainNamespace(slot));
    const guest = link.guestInterfaceName ?? "";
    sh("ip", "-n", this.namespace, "link", "set", guest, "netns", namespace, "name", "eth0");
    this.#configure(namespace, link);
    return this.lab.actor(namespace);
  }

  /**
   * A domain as a virtual machine would be: a program copies frames between the node's tap and the tap of a namespace,
   * both with the headers by which QEMU passes offloads on.
   */
  async machine(slot: number, version: number, offload: "on" | "off"): Promise<Actor> {
    const link = await this.attach(slot, version, "kv", "tap");
    const namespace = this.lab.addNamespace(this.domainNamespace(slot));
    const cableArguments = [`/run/netns/${this.namespace}`, link.interfaceName, offload];
    await this.lab.actor(namespace, CABLE, cableArguments);
    sh("ip", "-n", namespace, "link", "set", "eth0", "address", link.mac, "mtu", `${link.mtu}`);
    this.#configure(namespace, link);
    return this.lab.actor(namespace);
  }

  #configure(namespace: string, link: DomainLink): void {
    const steps = [
      `address add ${link.address}/32 dev eth0`,
      `link set eth0 up`,
      `route add ${link.gateway} dev eth0 scope link`,
      `route add default via ${link.gateway}`,
      ...(link.address6 === undefined
        ? []
        : [
            `-6 address add ${link.address6}/128 dev eth0 nodad`,
            `-6 route add default via ${link.gateway6} dev eth0`,
          ]),
    ];
    for (const step of steps) sh("ip", "-n", namespace, ...step.split(" "));
    const range = `net.ipv4.ip_local_port_range=${link.ephemeralPorts.join(" ")}`;
    sh("nsenter", `--net=/run/netns/${namespace}`, "sysctl", "-qw", range);
  }

  domainNamespace(slot: number): string {
    return `${PREFIX}d${this.number}-${slot}`;
  }

  async counter(verdict: string, version?: number): Promise<number> {
    const counters = await this.call("counters");
    return counters
      .filter(
        (counter) => counter.verdict === verdict && (version === undefined || counter.version === version),
      )
      .reduce((sum, counter) => sum + counter.packets, 0);
  }
}

export class Lab {
  readonly directory = join(tmpdir(), `${PREFIX}lab`);
  readonly bpffs = join(this.directory, "bpf");
  readonly clientNamespace = `${PREFIX}client`;
  readonly #namespaces: string[] = [];
  readonly #actors: Actor[] = [];
  readonly nodes: LabNode[] = [];
  client!: Actor;

  readonly hasIpv6: boolean;

  private constructor(hasIpv6: boolean) {
    this.hasIpv6 = hasIpv6;
  }

  /** `dataPaths`: each node's; the kernel's when it is not named. */
  static async create(
    nodeCount: number,
    dataPaths: readonly DataPath["kind"][] = [],
    hasIpv6 = false,
  ): Promise<Lab> {
    const lab = new Lab(hasIpv6);
    mkdirSync(lab.bpffs, { recursive: true });
    sh("mount", "-t", "bpf", "bpf", lab.bpffs);
    try {
      await lab.#build(nodeCount, dataPaths);
    } catch (error) {
      await lab.close();
      throw error;
    }
    return lab;
  }

  async #build(nodeCount: number, dataPaths: readonly DataPath["kind"][]): Promise<void> {
    const wire = this.addNamespace("wire");
    sh("ip", "-n", wire, "link", "add", "bridge", "type", "bridge", "stp_state", "0");
    sh("ip", "-n", wire, "link", "set", "bridge", "up");
    this.#plug(this.addNamespace(this.clientNamespace), wire, [CLIENT, CLIENT6], "c");
    for (let number = 1; number <= nodeCount; number += 1) {
      const node = new LabNode(this, number, dataPaths[number - 1] ?? "kernel");
      this.#plug(this.addNamespace(`n${number}`), wire, [node.address, node.address6], `n${number}`);
      this.nodes.push(node);
      await node.start();
      this.#actors.push(node.host);
    }
    this.client = await this.actor(this.clientNamespace);
  }

  #plug(namespace: string, wire: string, [address, address6]: readonly [string, string], port: string): void {
    sh("ip", "-n", wire, "link", "add", port, "type", "veth", "peer", "name", "uplink", "netns", namespace);
    sh("ip", "-n", wire, "link", "set", port, "master", "bridge", "up");
    sh("ip", "-n", namespace, "address", "add", `${address}/24`, "dev", "uplink");
    if (this.hasIpv6) sh("ip", "-n", namespace, "address", "add", `${address6}/64`, "dev", "uplink", "nodad");
    sh("ip", "-n", namespace, "link", "set", "uplink", "up");
  }

  addNamespace(name: string): string {
    const namespace = name.startsWith(PREFIX) ? name : `${PREFIX}${name}`;
    sh("ip", "netns", "add", namespace);
    this.#namespaces.push(namespace);
    sh("ip", "-n", namespace, "link", "set", "lo", "up");
    return namespace;
  }

  async actor(namespace: string, script?: string, more: readonly string[] = []): Promise<Actor> {
    const actor = await Actor.start(namespace, script, more);
    this.#actors.push(actor);
    return actor;
  }

  /** Deletes a namespace in the middle of a test, as when a container dies. */
  async removeNamespace(namespace: string, actor: Actor): Promise<void> {
    await actor.kill();
    sh("ip", "netns", "delete", namespace);
    this.#namespaces.splice(this.#namespaces.indexOf(namespace), 1);
  }

  async close(): Promise<void> {
    for (const node of this.nodes) await node.killDaemon();
    for (const actor of this.#actors) await actor.kill();
    for (const namespace of this.#namespaces) sh("ip", "netns", "delete", namespace);
    if (existsSync(this.bpffs)) sh("umount", this.bpffs);
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** Why the lab cannot be built here, or false. */
export function whyNoLab(): string | false {
  if (process.getuid?.() !== 0) return "needs root for network namespaces";
  try {
    sh("ip", "netns", "list");
    sh("bpftool", "version");
    return false;
  } catch (error) {
    return `needs iproute2 and bpftool: ${String(error)}`;
  }
}
