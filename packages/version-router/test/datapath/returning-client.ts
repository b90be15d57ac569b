/** A client that connects from a port that it had before, held against either data path. */
import type { Test } from "tap";
import { CLIENT_TCP } from "./kv-fleet.ts";
import type { Actor } from "./actor-handle.ts";
import type { LabNode } from "./lab.ts";

const LOCAL_PORT = 20_001;

/**
 * It must go where new clients go: to version 1, to a proxy, which must listen on the node already, and to version 1
 * again. Each server closes first, so that it remembers the connection (TIME_WAIT) while the client's port is free.
 */
export function returningClientCase(t: Test, client: Actor, node: LabNode): void {
  t.test("a client that connects from a port it had before goes where new clients go", async (t) => {
    const served: string[] = [];
    for (const path of [
      { kind: "direct", version: 1 },
      { kind: "proxy" },
      { kind: "direct", version: 1 },
    ] as const) {
      await node.call("setClientPath", "kv", path);
      const { id, greeting } = await client.connect(node.address, CLIENT_TCP, LOCAL_PORT);
      served.push(greeting);
      await client.call("tcpDismissed", id);
    }
    const [first, second, third] = served;
    t.equal(first, `node2-v1 10.78.0.100:${LOCAL_PORT}`);
    t.equal(second, `proxy 10.78.0.100:${LOCAL_PORT}`);
    t.equal(third, first);
    t.equal(await node.call("directConnections", 0), 0);
  });
}
