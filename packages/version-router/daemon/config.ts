/** The configuration of `vm-router`, a JSON file. Read once; every fault is reported in one answer. */
import { readFile } from "node:fs/promises";
import { z } from "zod";
import { canonicalIp, isGlobalIpv6 } from "../datapath/ip-address.ts";
import { isManagementAddress6 } from "../datapath/kernel/addresses.ts";
import { RouterError } from "../errors.ts";

/** Managed peers, of the file and of the agent: within the data path's table of 131,072. */
export const PEERS_MAX = 100_000;

const absolutePath = z.string().regex(/^\/./, "must be an absolute path");

/** Of either family, in the one form in which the data path tells it. */
export const PeerAddress = z.union([z.ipv4(), z.ipv6()]).transform(canonicalIp);

const ServiceAddress6 = z
  .ipv6()
  .refine((address) => isGlobalIpv6(address) && !isManagementAddress6(address), {
    message: "must be an address that other nodes can reach: not of one link, one node, a group, or IPv4",
  })
  .transform(canonicalIp);

const port = z.int().min(1).max(65_535);

const ConfigSchema = z
  .strictObject({
    /** Interface towards the other nodes. */
    uplink: z.string().regex(/^[^\s/]{1,15}$/, "must be the name of an interface, 1 to 15 characters"),
    /** IPv4 address of this node, which every domain of it bears too. */
    serviceAddress: z.ipv4(),
    /** IPv6 address of this node, which every domain bears as well; without it domains have no IPv6. Kernel data path only. */
    serviceAddress6: ServiceAddress6.optional(),
    /** Service addresses of nodes known to run Version Manager; the agent may name others later. */
    peers: z.array(PeerAddress).max(PEERS_MAX).default([]),
    /** How traffic is carried: by eBPF, by sockets of the daemon (slower, ends with it), or as the machine can. */
    dataPath: z.enum(["auto", "kernel", "relay"]).default("auto"),
    /** Directory of a mounted bpffs; created if absent. */
    pinDirectory: absolutePath.default("/sys/fs/bpf/version-manager"),
    /** Unix socket of the control API, mode 0600. `SOCKET.state.json` beside it keeps what the data path does not. */
    socket: absolutePath.max(100, "must fit a socket address").default("/run/version-manager/router.sock"),
    /** TCP port at 169.254.1.1 where domains register their ports. */
    gatewayPort: port.default(4077),
    /** UDP port at the service address for direct marks; the same on every node. */
    exchangePort: port.default(4078),
    /** Milliseconds between two direct marks of a service. Each is one datagram of at most 560 bytes to one peer. */
    exchangeIntervalMs: z.int().min(100).max(3_600_000).default(2_000),
  })
  .refine(({ dataPath, serviceAddress6 }) => dataPath !== "relay" || serviceAddress6 === undefined, {
    path: ["serviceAddress6"],
    message: "needs the kernel data path: the relay carries IPv4 only",
  });

export type RouterConfig = z.infer<typeof ConfigSchema>;

/** Throws E_BAD_REQUEST that names every fault. */
export function parseConfig(text: string, file: string): RouterConfig {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new RouterError("E_BAD_REQUEST", `${file} is no JSON; correct it.`, cause);
  }
  const parsed = ConfigSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new RouterError("E_BAD_REQUEST", `${file} must be corrected: ${describeFaults(parsed.error)}.`);
}

export async function loadConfig(file: string): Promise<RouterConfig> {
  const text = await readFile(file, "utf8").catch((cause: unknown) => {
    throw new RouterError("E_BAD_REQUEST", `Cannot read ${file}; name another with --config.`, cause);
  });
  return parseConfig(text, file);
}

/** All faults on one line: `uplink: …; peers[0]: …`. */
export function describeFaults(error: z.ZodError): string {
  return error.issues
    .map((issue) => {
      const path = issue.path
        .map((step) => (typeof step === "number" ? `[${step}]` : String(step)))
        .join(".");
      return path === "" ? issue.message : `${path.replaceAll(".[", "[")}: ${issue.message}`;
    })
    .join("; ");
}
