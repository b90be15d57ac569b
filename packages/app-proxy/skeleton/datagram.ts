/** A proxy for a service whose requests and replies are datagrams of text with an id. */

export const datagramModule = `/**
 * Shows clients one service while several versions run. The version manager loads this file into its proxy process and
 * hands the toolkit in, so nothing has to be imported. See docs/PROXY.md.
 */
export default (toolkit, { log }) => {
  // A request is "ID get KEY" or "ID set KEY VALUE", its reply "ID VALUE".
  const text = (bytes) => (/^[0-9]+ /.test(String(bytes)) ? String(bytes) : undefined);
  const idOf = (message) => message.split(" ")[0];
  log("writing to all versions, reading from the newest");
  return toolkit.createProxy({
    framing: toolkit.datagramFraming({
      // What is no message is dropped: undefined, or a throw.
      decodeRequest: text,
      decodeReply: text,
      encodeRequest: (request) => Buffer.from(request),
      encodeReply: (reply) => Buffer.from(reply),
      // Which reply answers which request. Without it a client's requests wait for one another.
      idOf: { request: idOf, reply: idOf },
      // What the client is told when no version can be reached. When an answer is lost or late, it is told nothing.
      failure: (kind, detail, request) => \`\${idOf(request)} ERROR \${kind}\`,
    }),
    // What a request is. Writes with one key go one after the other, in the same order to every version.
    classify: (request) => {
      const [, command, key = ""] = request.split(" ");
      return { kind: command === "get" ? "read" : "write", key };
    },
    isSuccess: (reply) => !reply.includes(" ERROR"),
    // A write succeeds when all versions say so.
    writes: "all",
    // A read goes to the newest version, and to older ones when it has no success.
    reads: "newest-then-older",
    // The request as a version wants it, and its reply as clients know it.
    transformRequest: (request, _version) => request,
    transformReply: (reply) => reply,
    // "quarantine": a version that fails what others do is kept out, so that it is no outage.
    sickVersions: "strict",
  });
};
`;

export const datagramTest = `import assert from "node:assert";
import test from "node:test";
import { toolkit } from "@version-manager/app-proxy";
import { DatagramHarness } from "@version-manager/app-proxy/testing";
import factory from "../proxy/index.js";

test("writes go to both versions, reads to the newest that has it, and nobody waits for what is lost", async () => {
  const stores = new Map([[1, new Map([["old", "1"]])], [2, new Map()]]);
  let lost = 1;
  const harness = new DatagramHarness({
    handlers: await factory(toolkit, { service: "test", log: () => {} }),
    versions: [1, 2],
    serve: (version, bytes) => {
      const [id, command, key, value] = String(bytes).split(" ");
      const store = stores.get(version);
      if (command === "set") store.set(key, value);
      return Buffer.from(\`\${id} \${store.get(key) ?? "ERROR not found"}\`);
    },
    choose: (count) => count - 1, // the last sent arrives first
    fate: (leg) => (leg === "proxy-client" && lost-- > 0 ? "lost" : "arrives"),
  });
  const client = harness.connect();
  client.send("1 set k v");
  await harness.run();
  assert.deepEqual(client.received, []);
  for (const request of ["1 set k v", "2 get k", "3 get old", "4 get none"]) client.send(request);
  await harness.run();
  assert.deepEqual(client.received.map(String).sort(), ["1 v", "2 v", "3 1", "4 ERROR not found"]);
  assert.deepEqual([1, 2].map((version) => stores.get(version).get("k")), ["v", "v"]);
});
`;
