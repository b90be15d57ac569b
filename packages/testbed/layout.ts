/**
 * Names, addresses and paths of a testbed. Everything that a testbed makes on the machine carries the prefix
 * `vmt-NAME-`, so that it can be found and removed by its name alone, whatever is left of it. Pure.
 */
import { TestbedError } from "./errors.ts";
import { LIBVIRT_DIRECTORIES } from "./libvirt/index.ts";

/** Directory that holds one directory per testbed. */
export const STATE_ROOT = "/var/lib/version-manager-testbed";

/** Most nodes of one testbed: their addresses are 10.77.0.1 and up, the client has 10.77.0.100. */
export const NODES_MAX = 64;

/** Paths of a machine that every node has for itself; all else is shared with the host. */
export const PRIVATE_DIRECTORIES: readonly string[] = [
  "/etc/version-manager",
  "/run/version-manager",
  "/var/lib/version-manager",
  "/var/log/version-manager",
  ...LIBVIRT_DIRECTORIES,
];

/** `n1`, `n2`, … */
export type NodeName = `n${number}`;

export interface NodeLayout {
  readonly name: NodeName;
  readonly address: string;
  /** Of a testbed with IPv6. */
  readonly address6: string;
  /** Named network namespace, `/run/netns/…`. */
  readonly netns: string;
  /** Name of the node's control group in every hierarchy. */
  readonly cgroup: string;
  /** Host directory below which the node's private paths lie as on a real machine. */
  readonly directory: string;
  /** Unix socket on which the node's init answers. */
  readonly controlSocket: string;
  /** What the node's init is to do, JSON. */
  readonly initFile: string;
}

export interface Layout {
  readonly name: string;
  readonly directory: string;
  readonly stateFile: string;
  readonly wireNetns: string;
  readonly clientNetns: string;
  readonly clientAddress: string;
  /** Of a testbed with IPv6. */
  readonly clientAddress6: string;
  readonly nodes: readonly NodeLayout[];
}

/** Prefix of every namespace and control group of testbeds, of one testbed when `name` is given. */
export function prefixOf(name?: string): string {
  return name === undefined ? "vmt-" : `vmt-${name}-`;
}

/** Throws E_BAD_REQUEST unless `name` is 1 to 16 lower-case letters and digits (a dash would make prefixes ambiguous). */
export function checkName(name: string): string {
  if (/^[a-z0-9]{1,16}$/.test(name)) return name;
  throw new TestbedError(
    "E_BAD_REQUEST",
    `Testbed name ${JSON.stringify(name)} must be 1 to 16 of a-z and 0-9.`,
  );
}

/** `index` counts from 1. */
export function nodeLayout(name: string, index: number): NodeLayout {
  const node: NodeName = `n${index}`;
  const directory = `${STATE_ROOT}/${name}/${node}`;
  return {
    name: node,
    address: `10.77.0.${index}`,
    address6: `fd10:77::${index}`,
    netns: prefixOf(name) + node,
    cgroup: prefixOf(name) + node,
    directory,
    controlSocket: `${directory}/control.sock`,
    initFile: `${directory}/init.json`,
  };
}

export function layoutOf(name: string, nodes: number): Layout {
  checkName(name);
  if (!Number.isInteger(nodes) || nodes < 1 || nodes > NODES_MAX) {
    throw new TestbedError("E_BAD_REQUEST", `A testbed has 1 to ${NODES_MAX} nodes, not ${nodes}.`);
  }
  return {
    name,
    directory: `${STATE_ROOT}/${name}`,
    stateFile: `${STATE_ROOT}/${name}/state.json`,
    wireNetns: `${prefixOf(name)}wire`,
    clientNetns: `${prefixOf(name)}client`,
    clientAddress: "10.77.0.100",
    clientAddress6: "fd10:77::100",
    nodes: Array.from({ length: nodes }, (_, index) => nodeLayout(name, index + 1)),
  };
}
