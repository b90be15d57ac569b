/** Three nodes with the real `vm-router`, joined by a bridge; on each a domain of version 1 and one of version 2. */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { RealNode, sh } from "../../daemon/namespaces.ts";
import { Actor } from "../actor-handle.ts";
import { TCP_PORT, UDP_PORT } from "./ports.ts";
import type { DomainLink } from "../../../control/contract.ts";

const PREFIX = `vmis-${process.pid}-`;
const RESIDENT = join(import.meta.dirname, "resident.ts");
const NODES = [1, 2, 3] as const;
export const VERSIONS = [1, 2] as const;

export interface Domain {
  readonly actor: Actor;
  readonly version: number;
  /** The other nodes. */
  readonly peers: readonly string[];
}

export class IsolationFleet {
  readonly directory = mkdtempSync(join(tmpdir(), PREFIX));
  readonly nodes: readonly RealNode[];
  readonly domains: Domain[] = [];
  readonly #namespaces: string[] = [];

  constructor() {
    const bpffs = join(this.directory, "bpf");
    mkdirSync(bpffs);
    sh("mount", "-t", "bpf", "bpf", bpffs);
    const peers = NODES.map((number) => `10.79.0.${number}`);
    this.nodes = NODES.map((number) => new RealNode(this.directory, number, { peers }));
    const wire = this.#addNamespace(`${PREFIX}wire`);
    sh("ip", "-n", wire, "link", "add", "bridge", "type", "bridge", "stp_state", "0");
    sh("ip", "-n", wire, "link", "set", "bridge", "up");
    for (const [index, { namespace, address }] of this.nodes.entries()) {
      this.#addNamespace(namespace);
      const port = `port${index}`;
      sh("ip", "-n", wire, "link", "add", port, "type", "veth", "peer", "name", "uplink", "netns", namespace);
      sh("ip", "-n", wire, "link", "set", port, "master", "bridge", "up");
      sh("ip", "-n", namespace, "address", "add", `${address}/24`, "dev", "uplink");
      sh("ip", "-n", namespace, "link", "set", "uplink", "up");
    }
  }

  /** Starts the routers, and on each node both versions, which register the same ports. */
  async start(): Promise<void> {
    for (const node of this.nodes) node.start();
    for (const node of this.nodes) {
      for (const version of VERSIONS) {
        const key = { service: "kv", version };
        const link = await node.client.attachDomain({ ...key, kind: "veth" });
        const namespace = this.#domain(node, link, version);
        const actor = await Actor.start(namespace, RESIDENT, [`${version}`]);
        const peers = this.nodes.filter((other) => other !== node).map(({ address }) => address);
        this.domains.push({ actor, version, peers });
        await actor.call("serve");
        await node.client.registerPorts(key, { peer: [`tcp/${TCP_PORT}`, `udp/${UDP_PORT}`], client: [] });
      }
    }
  }

  async close(): Promise<void> {
    for (const { actor } of this.domains) await actor.kill();
    for (const node of this.nodes) await node.stop("SIGKILL");
    for (const namespace of this.#namespaces) sh("ip", "netns", "delete", namespace);
    sh("umount", join(this.directory, "bpf"));
    rmSync(this.directory, { recursive: true });
  }

  #domain(node: RealNode, link: DomainLink, version: number): string {
    const namespace = this.#addNamespace(`${node.namespace}-v${version}`);
    const guest = link.guestInterfaceName ?? "";
    sh("ip", "-n", node.namespace, "link", "set", guest, "netns", namespace, "name", "eth0");
    for (const step of [
      `address add ${link.address}/32 dev eth0`,
      "link set eth0 up",
      `route add ${link.gateway} dev eth0 scope link`,
      `route add default via ${link.gateway}`,
    ]) {
      sh("ip", "-n", namespace, ...step.split(" "));
    }
    const range = `net.ipv4.ip_local_port_range=${link.ephemeralPorts.join(" ")}`;
    sh("nsenter", `--net=/run/netns/${namespace}`, "sysctl", "-qw", range);
    return namespace;
  }

  #addNamespace(name: string): string {
    sh("ip", "netns", "add", name);
    this.#namespaces.push(name);
    sh("ip", "-n", name, "link", "set", "lo", "up");
    return name;
  }
}

export interface Attached {
  /** Of this load of the program. */
  readonly id: string;
  /** The kernel's hash over its instructions. */
  readonly tag: string;
}

/** The programs at the node's uplink and at its domains. */
export function attachedPrograms(node: RealNode): readonly Attached[] {
  const places = ["uplink", ...VERSIONS.map((_, slot) => `vm-s${slot}`)];
  return places.map((name) => {
    const text = sh("tc", "-n", node.namespace, "filter", "show", "dev", name, "ingress");
    const [, id = "none", tag = "none"] = /\bid (\d+).*\btag ([0-9a-f]+)/.exec(text) ?? [];
    return { id, tag };
  });
}
