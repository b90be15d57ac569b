/** Two nodes with versions 1 and 2, and in each domain a process that plays one end of a connection. */
import { fileURLToPath } from "node:url";
import { PORTS, startFleet } from "../kv-fleet.ts";
import { sh } from "../lab.ts";
import type { Actor } from "../actor-handle.ts";
import type { Fleet } from "../kv-fleet.ts";
import type { LabNode } from "../lab.ts";

const RAW_SOCKETS = fileURLToPath(new URL("raw-sockets.ts", import.meta.url));
/** Peer ports on which nothing listens until a test does. */
export const FREE_PORTS = [7010, 7011, 7012, 7013, 7014, 7015] as const;
const TIMEOUT_MS = 20_000;

/** One end, in one domain: calls of raw-sockets.ts. */
export class End {
  readonly namespace: string;
  readonly address: string;
  readonly #actor: Actor;

  constructor(actor: Actor, node: LabNode, slot: number) {
    this.#actor = actor;
    this.namespace = node.domainNamespace(slot);
    this.address = node.address;
  }

  call<T = void>(method: string, ...words: unknown[]): Promise<T> {
    return this.#actor.call<T>(method, ...words);
  }

  open(options: Readonly<Record<string, number>> = {}, localPort = 0, kind = "tcp"): Promise<number> {
    return this.call("open", kind, options, localPort, TIMEOUT_MS);
  }

  /** Gives up after `timeoutMs` instead of seconds. */
  openImpatient(
    kind: "tcp" | "udp",
    options: Readonly<Record<string, number>>,
    timeoutMs: number,
  ): Promise<number> {
    return this.call("open", kind, options, 0, timeoutMs);
  }

  async listen(port: number, options: Readonly<Record<string, number>> = {}, kind = "tcp"): Promise<number> {
    const fd = await this.open({ reuseAddress: 1, ...options }, port, kind);
    await this.call("listen", fd);
    return fd;
  }

  within(...command: string[]): string {
    return sh("nsenter", `--net=/run/netns/${this.namespace}`, ...command);
  }

  /** A counter of the domain's own stack, as in /proc/net/netstat and snmp. */
  statistic(group: string, name: string): number {
    const text = this.within("cat", "/proc/net/snmp", "/proc/net/netstat");
    const [names = [], values = []] = text
      .split("\n")
      .filter((line) => line.startsWith(`${group}:`))
      .map((line) => line.split(" "));
    const at = names.indexOf(name);
    if (at < 0) throw new RangeError(`no statistic ${group} ${name}`);
    return Number(values[at]);
  }
}

export interface Scene extends Fleet {
  /** The ends in the domains of the same names. */
  readonly ends: Readonly<Record<"a1" | "a2" | "b1" | "b2", End>>;
}

export async function startScene(): Promise<Scene> {
  const fleet = await startFleet();
  const { lab, a, b } = fleet;
  try {
    const peer = [...PORTS.peer, ...FREE_PORTS.map((port) => `tcp/${port}` as const)];
    for (const node of [a, b]) {
      for (const slot of [0, 1]) await node.call("setPorts", slot, { peer, client: PORTS.client });
    }
    const end = async (node: LabNode, slot: number): Promise<End> =>
      new End(await lab.actor(node.domainNamespace(slot), RAW_SOCKETS), node, slot);
    const ends = { a1: await end(a, 0), a2: await end(a, 1), b1: await end(b, 0), b2: await end(b, 1) };
    return { ...fleet, ends };
  } catch (error) {
    await lab.close();
    throw error;
  }
}

/** A connection between two ends: who asked, who was asked. */
export interface Connection {
  readonly asker: number;
  readonly asked: number;
}

export async function connectEnds(
  from: End,
  to: End,
  listener: number,
  port: number,
  localPort = 0,
): Promise<Connection> {
  const asker = await from.open(localPort > 0 ? { reuseAddress: 1 } : {}, localPort);
  await from.call("connect", asker, to.address, port);
  return { asker, asked: await to.call<number>("accept", listener) };
}

/** By how much a verdict's counter grew meanwhile. */
export async function grown(
  node: LabNode,
  verdict: string,
  version: number,
  meanwhile: () => Promise<unknown>,
): Promise<number> {
  const before = await node.counter(verdict, version);
  await meanwhile();
  return (await node.counter(verdict, version)) - before;
}
