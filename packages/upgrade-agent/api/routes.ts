/** The two faces of the agent: everything for who may open its unix socket, verified metadata for other nodes. */
import { z } from "zod";
import type { Agent } from "../daemon/agent.ts";
import { AgentError } from "../errors.ts";
import { packDigests, unpackDigest } from "../fleet/exchange.ts";
import type { Envelope } from "../release/contract.ts";
import type { SeedRequest } from "./contract.ts";
import type { Call, Routes } from "./http.ts";

const versionNumber = z.coerce.number().int().min(1).max(0x0fff_ffff);
const lineId = z.coerce.number().int().min(0);
const envelope = z.object({ signed: z.record(z.string(), z.unknown()), signatures: z.array(z.unknown()) });
const seed = z.strictObject({ file: z.string().startsWith("/"), envelope });

export function localRoutes(agent: Agent): Routes {
  return {
    "GET /v1/status": () => agent.status(),
    "GET /v1/fleet": () => agent.fleet(),
    "GET /v1/logs/:service/:version": (call) =>
      agent.logs(...versionOf(call), parse(lineId, call.query.get("after") ?? 0)),
    "GET /v1/compare/:service": (call) => agent.compare(call.parameters["service"] ?? ""),
    "POST /v1/readmit/:service/:version": (call) => agent.readmit(...versionOf(call)),
    "POST /v1/seed": (call) => agent.seed(parse(seed, call.body) as unknown as SeedRequest),
    "POST /v1/retire": (call) =>
      agent.retire(parse(envelope, call.body) as unknown as Envelope, call.query.get("force") === "true"),
    "POST /v1/retry/:service/:version": (call) => agent.retry(...versionOf(call)),
  };
}

/** Read-only. `allow` is asked per caller and says whether it may have one more answer now. */
export function peerRoutes(agent: Agent, allow: (remoteAddress: string) => boolean): Routes {
  const limited = (handler: (call: Call) => Promise<unknown>) => async (call: Call) => {
    if (allow(call.remoteAddress ?? "")) return handler(call);
    throw new AgentError("E_AGENT_BUSY", "Too many requests from this address; try again in a second.");
  };
  return {
    "POST* /v1/exchange": limited(async (call) => {
      const own =
        call.body instanceof Uint8Array ? unpackDigest(call.remoteAddress ?? "", call.body) : undefined;
      return packDigests((await agent.exchange(own)).nodes);
    }),
    "GET /v1/releases/:service/:version": limited((call) => agent.releaseEnvelope(...versionOf(call))),
    "GET /v1/releases/:service/:version/torrent": limited((call) => agent.releaseTorrent(...versionOf(call))),
    "GET /v1/retirements/:service/:version": limited((call) => agent.retirement(...versionOf(call))),
  };
}

function versionOf(call: Call): [service: string, version: number] {
  return [call.parameters["service"] ?? "", parse(versionNumber, call.parameters["version"])];
}

function parse<T>(schema: z.ZodType<T>, value: unknown): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map((issue) => `${issue.path.join(".") || "(top)"}: ${issue.message}`);
  throw new AgentError("E_BAD_REQUEST", `The request is not what this call takes: ${faults.join("; ")}.`);
}
