/** A proxy for a service whose requests and replies are lines of text. */

export const linesModule = `/**
 * Shows clients one service while several versions run. The version manager loads this file into its proxy process and
 * hands the toolkit in, so nothing has to be imported. See docs/PROXY.md.
 */
export default (toolkit, { log }) => {
  log("writing to all versions, reading from the newest");
  return toolkit.createProxy({
    framing: toolkit.linesFraming({
      delimiter: "\\n",
      // What the client is told when no version's reply can be given. Without it the connection ends.
      failure: (kind) => \`ERROR \${kind}\`,
      refusal: (status) => \`ERROR \${status}\`,
    }),
    // What a line is. Writes with one key go one after the other, in the same order to every version.
    classify: (line) => {
      const [command, key = ""] = line.split(" ");
      return { kind: command === "get" ? "read" : "write", key };
    },
    isSuccess: (reply) => !reply.startsWith("ERROR"),
    // A write succeeds when all versions say so.
    writes: "all",
    // A read goes to the newest version, and to older ones when it has no success.
    reads: "newest-then-older",
    // The line as a version wants it, and its reply as clients know it.
    transformRequest: (line, _version) => line,
    transformReply: (reply) => reply,
    // "quarantine": a version that fails what others do is kept out, so that it is no outage.
    sickVersions: "strict",
  });
};
`;

export const linesTest = `import assert from "node:assert";
import test from "node:test";
import { toolkit } from "@version-manager/app-proxy";
import { framedServer, Harness } from "@version-manager/app-proxy/testing";
import factory from "../proxy/index.js";

test("writes go to both versions, reads to the newest that has it", async () => {
  const stores = new Map([[1, new Map([["old", "1"]])], [2, new Map()]]);
  const harness = new Harness({
    handlers: await factory(toolkit, { service: "test", log: () => {} }),
    versions: [1, 2],
    serve: (side) =>
      framedServer(side, toolkit.linesFraming(), (line, version) => {
        const [command, key, value] = line.split(" ");
        if (command === "get") return stores.get(version).get(key) ?? "ERROR not found";
        stores.get(version).set(key, value);
        return "stored";
      }),
    cut: () => 1, // bytes arrive one by one
  });
  const client = harness.connect();
  client.send("set k v\\nget k\\nget old\\nget none\\n");
  await harness.run();
  assert.equal(String(client.received), "stored\\nv\\n1\\nERROR not found\\n");
  assert.deepEqual([1, 2].map((version) => stores.get(version).get("k")), ["v", "v"]);
});
`;
