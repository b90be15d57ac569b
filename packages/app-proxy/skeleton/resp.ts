/** A proxy for a service that speaks RESP, as Redis does. */

export const respModule = `/**
 * Shows clients one service while several versions run. The version manager loads this file into its proxy process and
 * hands the toolkit in, so nothing has to be imported. See docs/PROXY.md.
 */
export default (toolkit, { log }) => {
  log("writing to all versions, reading from the newest");
  return toolkit.createProxy({
    framing: toolkit.respFraming(),
    // Knows the commands of Redis; commands of your own are writes that touch everything, which is slow and right:
    // say { kind: "read" } or { kind: "write", key } of them here.
    classify: toolkit.classifyResp,
    // A write succeeds when no version answers with an error.
    writes: "all",
    // A read goes to the newest version, and to older ones when it answers with an error or with nothing.
    reads: "newest-then-older",
    // The request as a version wants it: toolkit.respRequest("SET", key, value) makes another.
    transformRequest: (request, _version) => request,
    // The reply as clients know it: bytes, which toolkit.respDecode and respEncode turn into values and back.
    transformReply: (reply) => reply,
    // "quarantine": a version that fails what others do is kept out, so that it is no outage.
    sickVersions: "strict",
  });
};
`;

export const respTest = `import assert from "node:assert";
import test from "node:test";
import { toolkit } from "@version-manager/app-proxy";
import { framedServer, Harness } from "@version-manager/app-proxy/testing";
import factory from "../proxy/index.js";

test("writes go to both versions, reads to the newest that has it", async () => {
  const stores = new Map([[1, new Map([["old", Buffer.from("1")]])], [2, new Map()]]);
  const framing = toolkit.respFraming();
  const harness = new Harness({
    handlers: await factory(toolkit, { service: "test", log: () => {} }),
    versions: [1, 2],
    serve: (side) =>
      framedServer(side, framing, ({ name, words: [, key, value] }, version) => {
        const store = stores.get(version);
        if (name !== "SET") return toolkit.respEncode(store.get(String(key)) ?? null);
        store.set(String(key), value);
        return toolkit.respEncode("OK");
      }),
    cut: () => 1, // bytes arrive one by one
  });
  const client = harness.connect();
  for (const words of [["SET", "k", "v"], ["GET", "k"], ["GET", "old"], ["GET", "none"]]) {
    client.send(Buffer.concat(framing.encodeRequest(toolkit.respRequest(...words))));
  }
  await harness.run();
  assert.equal(String(client.received), "+OK\\r\\n$1\\r\\nv\\r\\n$1\\r\\n1\\r\\n$-1\\r\\n");
  assert.deepEqual([1, 2].map((version) => String(stores.get(version).get("k"))), ["v", "v"]);
});
`;
