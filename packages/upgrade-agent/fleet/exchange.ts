/** Carries digests between agents, in msgpack: every interval this node tells one other what it is and asks for all that it knows. */
import { Packr } from "msgpackr";
import { z } from "zod";
import { fetchBytes } from "../api/client.ts";
import { stageNames } from "../lifecycle/stages.ts";
import { historyMax, type NodeDigest, nodesMax, versionsPerNodeMax } from "./view.ts";

const name = z.string().min(1).max(64);
const time = z.number().nonnegative();

const version = z.object({
  service: name,
  version: z.number().int().positive(),
  label: z.string().max(64).optional(),
  stage: z.enum(stageNames),
  enteredAtMs: time,
  progress: z.object({ receivedBytes: time, totalBytes: time }).optional(),
  fault: z.object({ code: name, message: z.string().max(2_000) }).optional(),
  quarantine: z.object({ sinceMs: time, detail: z.string().max(500) }).optional(),
  history: z.array(z.object({ stage: z.enum(stageNames), enteredAtMs: time })).max(historyMax),
});

const node = z.object({
  node: name,
  address: z.ipv4(),
  address6: z.ipv6().exactOptional(),
  revision: time,
  versions: z.array(version).max(versionsPerNodeMax),
});

const answer = z.object({ nodes: z.array(node).max(nodesMax) });

const answerBytesMax = 4 * 1024 * 1024;
const timeoutMs = 3_000;

/** Plain maps and arrays: no structure cloning, no records, nothing but data comes out of a stranger's bytes. */
const packr = new Packr({ useRecords: false, moreTypes: false, structuredClone: false });

/** Tells another agent what this node is, and asks it for all that it knows. Throws when it does not answer sense. */
export async function exchangeDigests(address: string, port: number, own: NodeDigest): Promise<NodeDigest[]> {
  const options = { method: "POST", body: packr.pack(own), timeoutMs, bytesMax: answerBytesMax } as const;
  const bytes = await fetchBytes({ host: address, port }, "/v1/exchange", options);
  return answer.parse(packr.unpack(bytes)).nodes as NodeDigest[];
}

export function packDigests(nodes: readonly NodeDigest[]): Uint8Array {
  return packr.pack({ nodes });
}

/** A digest that another node sent of itself; undefined when it is nonsense or speaks for an address not its own. */
export function unpackDigest(remoteAddress: string, bytes: Uint8Array): NodeDigest | undefined {
  try {
    const digest = node.parse(packr.unpack(bytes));
    return digest.address === remoteAddress ? (digest as NodeDigest) : undefined;
  } catch {
    return undefined;
  }
}
