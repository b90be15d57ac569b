/** A client that connects from a port that it had before: it must go where new clients go, on either data path. */
import { CLIENT_TCP } from "./kv-fleet.ts";
import type { Actor } from "./actor-handle.ts";
import type { LabNode } from "./lab.ts";

/**
 * Who served each of three connections from one port, with the path to version 1, to a proxy, and to version 1 again.
 * Each server closes first, so that it remembers the connection (TIME_WAIT) while the client's port is free. Something
 * must listen on the node itself.
 */
export async function servedInTurn(client: Actor, node: LabNode, localPort: number): Promise<string[]> {
  const served: string[] = [];
  for (const path of [
    { kind: "direct", version: 1 },
    { kind: "proxy" },
    { kind: "direct", version: 1 },
  ] as const) {
    await node.call("setClientPath", "kv", path);
    const { id, greeting } = await client.connect(node.address, CLIENT_TCP, localPort);
    served.push(greeting);
    await client.call("tcpDismissed", id);
  }
  return served;
}
