/** What a proxy process is told at its start: one JSON object as its only argument, checked whole. */
import { ProxyError } from "../errors.ts";

/** `tcp/80`, `udp/53` */
export type ListenPort = `${"tcp" | "udp"}/${number}`;

export interface VersionEndpoints {
  readonly version: number;
  /** Where the service's ports are at this version: `{"tcp/80": "169.254.128.1:80"}`. */
  readonly endpoints: Readonly<Record<string, string>>;
}

export interface Launch {
  readonly service: string;
  /** Absolute path of the release's module. */
  readonly module: string;
  /** The control socket: an inherited descriptor that listens already, or the path of a unix socket to be made. */
  readonly control: { readonly fd: number } | { readonly path: string };
  /** Clients' listening sockets: inherited descriptors, or addresses to be bound. */
  readonly listen: readonly (
    | { readonly port: ListenPort; readonly fd: number }
    | { readonly port: ListenPort; readonly address: string }
  )[];
  readonly versions: readonly VersionEndpoints[];
  /** Whom the process becomes before it loads the module; for a process started as root. */
  readonly user?: { readonly uid: number; readonly gid: number };
  /** Client connections at a time. Default 10,000; each costs a descriptor, one more per version, and buffers. */
  readonly connectionsMax?: number;
  /** Versions that an earlier process found sick; they are kept out from the start. Default: none. */
  readonly quarantined?: readonly number[];
}

const VERSION_MAX = 2 ** 28 - 1;
const PORT = /^(?:tcp|udp)\/([1-9][0-9]{0,4})$/;

export function parseLaunch(text: string): Launch {
  const faults: string[] = [];
  const value = parseJson(text);
  const known = [
    "service",
    "module",
    "control",
    "listen",
    "versions",
    "user",
    "connectionsMax",
    "quarantined",
  ];
  for (const key of Object.keys(value)) if (!known.includes(key)) faults.push(`${key} is unknown`);
  if (typeof value["service"] !== "string") faults.push("service must be a string");
  if (typeof value["module"] !== "string") faults.push("module must be a path");
  const control = value["control"];
  if (!isObject(control) || (!isDescriptor(control["fd"]) && typeof control["path"] !== "string")) {
    faults.push("control must have fd or path");
  }
  const listen = value["listen"];
  if (!Array.isArray(listen) || listen.length === 0 || !listen.every(isListen)) {
    faults.push("listen must be a list of {port, fd} or {port, address}");
  }
  const connectionsMax = value["connectionsMax"];
  if (connectionsMax !== undefined && (!Number.isInteger(connectionsMax) || (connectionsMax as number) < 1)) {
    faults.push("connectionsMax must be a whole number from 1");
  }
  const quarantined = value["quarantined"] ?? [];
  if (!Array.isArray(quarantined) || !quarantined.every(isVersion)) {
    faults.push(`quarantined must be a list of 1…${VERSION_MAX}`);
  }
  const user = value["user"];
  if (user !== undefined && !(isObject(user) && isUnprivileged(user["uid"]) && isUnprivileged(user["gid"]))) {
    faults.push("user must have uid and gid from 1");
  }
  faults.push(...faultsOfVersions(value["versions"]));
  if (faults.length > 0)
    throw new ProxyError("E_LAUNCH", `The launch description is wrong: ${faults.join("; ")}.`);
  return value as unknown as Launch;
}

/** Every fault of a list of versions, as sentences; empty when there is none. */
export function faultsOfVersions(value: unknown): string[] {
  if (!Array.isArray(value)) return ["versions must be a list"];
  const faults: string[] = [];
  const seen = new Set<unknown>();
  for (const [index, entry] of value.entries()) {
    if (!isObject(entry)) {
      faults.push(`versions[${index}] must be an object`);
      continue;
    }
    const { version, endpoints, ...rest } = entry;
    for (const key of Object.keys(rest)) faults.push(`versions[${index}].${key} is unknown`);
    if (!isVersion(version)) {
      faults.push(`versions[${index}].version must be 1…${VERSION_MAX}`);
    } else if (seen.has(version)) {
      faults.push(`versions[${index}].version is there twice`);
    }
    seen.add(version);
    if (!isObject(endpoints)) {
      faults.push(`versions[${index}].endpoints must be an object`);
      continue;
    }
    for (const [port, endpoint] of Object.entries(endpoints)) {
      if (!PORT.test(port)) faults.push(`versions[${index}].endpoints: ${port} is not a port as tcp/80`);
      if (parseEndpoint(endpoint) === undefined)
        faults.push(`versions[${index}].endpoints.${port} is not host:port`);
    }
  }
  return faults;
}

/** `169.254.128.1:80` or `[fe80::1]:80` */
export function parseEndpoint(value: unknown): { readonly host: string; readonly port: number } | undefined {
  if (typeof value !== "string") return undefined;
  const match = /^(?:\[([0-9a-f:.]+)\]|([0-9A-Za-z.-]+)):([0-9]{1,5})$/.exec(value);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  return host === undefined || port < 1 || port > 65_535 ? undefined : { host, port };
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function parseJson(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (isObject(value)) return value;
  } catch (error) {
    throw new ProxyError("E_LAUNCH", "The launch description is not JSON.", error);
  }
  throw new ProxyError("E_LAUNCH", "The launch description must be an object.");
}

function isVersion(value: unknown): boolean {
  return Number.isInteger(value) && (value as number) >= 1 && (value as number) <= VERSION_MAX;
}

function isDescriptor(value: unknown): boolean {
  return Number.isInteger(value) && (value as number) >= 3;
}

function isUnprivileged(value: unknown): boolean {
  return Number.isInteger(value) && (value as number) >= 1;
}

function isListen(value: unknown): boolean {
  if (!isObject(value) || typeof value["port"] !== "string" || !PORT.test(value["port"])) return false;
  return isDescriptor(value["fd"]) || parseEndpoint(value["address"]) !== undefined;
}
