/** What a node's data path traces while something is done. */
import { setTimeout as sleep } from "node:timers/promises";
import type { TraceFilter, TracedPacket } from "../../control/contract.ts";
import type { LabNode } from "./lab.ts";

/** Throws when packets were missed. */
export async function traced(
  node: LabNode,
  filter: TraceFilter,
  work: () => Promise<unknown>,
): Promise<readonly TracedPacket[]> {
  await node.call("trace", filter);
  await work();
  // The last packets of a connection come after the answer to its client.
  await sleep(200);
  const { packets, missed } = await node.call("trace", filter);
  await node.call("trace", undefined);
  if (missed > 0) throw new Error(`${missed} packets were missed`);
  return packets;
}
