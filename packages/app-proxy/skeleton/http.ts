/** A proxy for a service with an HTTP/1.1 interface. */

export const httpModule = `/**
 * Shows clients one service while several versions run. The version manager loads this file into its proxy process and
 * hands the toolkit in, so nothing has to be imported. See docs/PROXY.md.
 */
const NEW = 2;

export default (toolkit, { log }) => {
  log("writing to all versions, reading from the newest");
  return toolkit.createProxy({
    framing: toolkit.httpFraming(),
    // GET, HEAD, OPTIONS and TRACE read, the rest writes. Writes with one key go one after the other, in the same order
    // to every version; without the key of what it changes a write may overtake another.
    classify: toolkit.classifyHttp,
    // A write succeeds when all versions say so (status below 400).
    writes: "all",
    // A read goes to the newest version, and to older ones when it has nothing. Others: "first", "longest", {choose}.
    reads: "newest-then-older",
    // The request as a version wants it. Return another object, do not change this one.
    transformRequest: (request, version) =>
      version < NEW ? request : { ...request, headers: [...request.headers, ["X-Api", "2"]] },
    // The reply as clients know it.
    transformReply: (reply) => reply,
    // "quarantine": a version that fails what others do is kept out, so that it is no outage.
    sickVersions: "strict",
  });
};
`;

export const httpTest = `import assert from "node:assert";
import test from "node:test";
import { toolkit } from "@version-manager/app-proxy";
import { Harness, httpServer, repliesIn } from "@version-manager/app-proxy/testing";
import factory from "../proxy/index.js";

test("writes go to both versions, reads to the newest", async () => {
  const arrived = [];
  const harness = new Harness({
    handlers: await factory(toolkit, { service: "test", log: () => {} }),
    versions: [1, 2],
    serve: (side) =>
      httpServer(side, ({ method, target }, version) => {
        arrived.push(\`\${version} \${method} \${target}\`);
        return { status: 200, body: \`from \${version}\` };
      }),
    cut: () => 1, // bytes arrive one by one
  });
  const client = harness.connect();
  client.send("PUT /a HTTP/1.1\\r\\nHost: h\\r\\nContent-Length: 1\\r\\n\\r\\nx");
  client.send("GET /a HTTP/1.1\\r\\nHost: h\\r\\n\\r\\n");
  await harness.run();
  const replies = repliesIn(client.received, ["PUT", "GET"]);
  assert.deepEqual(replies.map(({ body }) => Buffer.from(body).toString()), ["from 2", "from 2"]);
  assert.deepEqual(arrived.toSorted(), ["1 PUT /a", "2 GET /a", "2 PUT /a"]);
});
`;
