/** The shapes of requests, checked where they come in. */
import { z } from "zod";
import type { Advertisement, ClientPath, PortSet, PortSpec, ServicePolicy } from "../control/contract.ts";
import { VERDICT_NAMES } from "../control/verdicts.ts";
import { NETWORK_MBIT_PER_S_MAX } from "../datapath/datapath.ts";
import { RouterError } from "../errors.ts";
import { ADVERTISEMENTS_MAX } from "../gossip/direct-mark.ts";
import { VERSION_MAX } from "../mark/mark.ts";
import { isPortSpec, PORTS_PER_DOMAIN_MAX } from "../ports/spec.ts";
import { describeFaults, PeerAddress, PEERS_MAX } from "./config.ts";

export const ServiceName = z
  .string()
  .regex(/^[a-z][a-z0-9-]{0,31}$/, "must be 1 to 32 of a-z, 0-9 and -, starting with a letter");

export const VersionNumber = z.int().min(1).max(VERSION_MAX);

export const AdvertisementSchema: z.ZodType<Advertisement> = z.strictObject({
  version: VersionNumber,
  status: z.enum(["running", "available", "retired", "aborted"]),
});

const PortSpecSchema = z.custom<PortSpec>(
  (value) => typeof value === "string" && isPortSpec(value),
  "must be tcp/PORT or udp/PORT",
);
const ports = z.array(PortSpecSchema).max(PORTS_PER_DOMAIN_MAX).default([]);

export const PortSetSchema: z.ZodType<PortSet> = z.strictObject({ peer: ports, client: ports });

export const AttachSchema = z.strictObject({
  kind: z.enum(["tap", "veth"]),
  networkMbitPerS: z.int().min(1).max(NETWORK_MBIT_PER_S_MAX).exactOptional(),
});

export const ClientPathSchema: z.ZodType<ClientPath> = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("direct"), version: VersionNumber }),
  z.strictObject({ kind: z.literal("proxy") }),
  z.strictObject({ kind: z.literal("closed") }),
]);

export const PolicySchema: z.ZodType<ServicePolicy> = z.strictObject({
  unmanagedPeers: z.enum(["allow", "deny"]),
});

export const AdvertisementsSchema = z
  .array(AdvertisementSchema)
  .max(ADVERTISEMENTS_MAX)
  .refine((list) => new Set(list.map((entry) => entry.version)).size === list.length, {
    message: "must name each version once",
  });

export const PeersSchema = z.array(PeerAddress).max(PEERS_MAX);

export const FlowFilterSchema = z.strictObject({
  service: ServiceName.exactOptional(),
  version: VersionNumber.exactOptional(),
  peer: PeerAddress.exactOptional(),
  protocol: z.enum(["tcp", "udp"]).exactOptional(),
  limit: z.int().min(1).max(10_000).exactOptional(),
});

export const TraceFilterSchema = z.strictObject({
  service: ServiceName.exactOptional(),
  version: VersionNumber.exactOptional(),
  peer: PeerAddress.exactOptional(),
  port: z.int().min(1).max(65_535).exactOptional(),
  verdict: z.enum(VERDICT_NAMES as [string, ...string[]]).exactOptional(),
});

/** Throws E_BAD_REQUEST that names every fault. */
export function parseRequest<T>(schema: z.ZodType<T>, value: unknown): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new RouterError("E_BAD_REQUEST", `The request must be corrected: ${describeFaults(parsed.error)}.`);
}
