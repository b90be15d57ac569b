/** A proxy for a protocol that none of the framings knows: its framing is written out. */

export const customModule = `/**
 * Shows clients one service while several versions run. The version manager loads this file into its proxy process and
 * hands the toolkit in, so nothing has to be imported. See docs/PROXY.md.
 *
 * The protocol of this example: one byte says what a message is, two its length, then comes the payload.
 *
 *     +------+--------+---------+
 *     | type | length | payload |   type: 1 read, 2 write; replies: 0 done, 1 not done
 *     +------+--------+---------+
 */
const HEAD_BYTES = 3;
const PAYLOAD_BYTES_MAX = 4096;
const READ = 1;
const DONE = 0;
const NOT_DONE = 1;

/** Looks at what has come: "incomplete", a "message" with its length, or "refused". Must not consume anything. */
function read(buffer) {
  if (buffer.length < HEAD_BYTES) return { kind: "incomplete" };
  const head = buffer.bytes(0, HEAD_BYTES);
  const bytes = HEAD_BYTES + head.readUInt16BE(1);
  if (bytes > HEAD_BYTES + PAYLOAD_BYTES_MAX) return { kind: "refused", status: "too-large", why: "over 4 KiB" };
  if (buffer.length < bytes) return { kind: "incomplete" };
  return { kind: "message", bytes, message: { type: head[0], payload: buffer.bytes(HEAD_BYTES, bytes) } };
}

function encode({ type, payload }) {
  const head = Buffer.from([type, 0, 0]);
  head.writeUInt16BE(payload.length, 1);
  return [head, payload];
}

export const framing = {
  requestReader: () => ({ read }),
  replyReader: () => ({ read }),
  sizeOf: ({ payload }) => payload.length,
  encodeRequest: encode,
  encodeReply: encode,
  // What the client is told when no version's reply can be given, and when its bytes are no message.
  failure: (kind) => ({ type: NOT_DONE, payload: Buffer.from(kind) }),
  refusal: (status) => ({ type: NOT_DONE, payload: Buffer.from(status) }),
  isSuccess: (reply) => reply.type === DONE,
  // Replies come in the order of the requests; a protocol with ids has answers: (reply, request) => true or false.
};

export default (toolkit, { log }) => {
  log("writing to all versions, reading from the newest");
  return toolkit.createProxy({
    framing,
    // Writes with one key go one after the other, in the same order to every version.
    classify: ({ type, payload }) => ({
      kind: type === READ ? "read" : "write",
      key: payload.toString("latin1").split("=")[0],
    }),
    writes: "all",
    reads: "newest-then-older",
    // "quarantine": a version that fails what others do is kept out, so that it is no outage.
    sickVersions: "strict",
  });
};
`;

export const customTest = `import assert from "node:assert";
import test from "node:test";
import { toolkit } from "@version-manager/app-proxy";
import { framedReplies, framedServer, Harness } from "@version-manager/app-proxy/testing";
import factory, { framing } from "../proxy/index.js";

const message = (type, text) => ({ type, payload: Buffer.from(text) });

test("writes go to both versions, reads to the newest that has it", async () => {
  const stores = new Map([[1, new Map([["old", "1"]])], [2, new Map()]]);
  const harness = new Harness({
    handlers: await factory(toolkit, { service: "test", log: () => {} }),
    versions: [1, 2],
    serve: (side) =>
      framedServer(side, framing, ({ type, payload }, version) => {
        const [key, value] = payload.toString().split("=");
        const store = stores.get(version);
        if (type === 2) store.set(key, value);
        return store.has(key) ? message(0, store.get(key)) : message(1, "not found");
      }),
    cut: () => 1, // bytes arrive one by one
  });
  const client = harness.connect();
  const requests = [message(2, "k=v"), message(1, "k"), message(1, "old"), message(1, "none")];
  client.send(Buffer.concat(requests.flatMap((request) => framing.encodeRequest(request))));
  await harness.run();
  const replies = framedReplies(client.received, framing, requests);
  assert.deepEqual(replies.map(({ type, payload }) => [type, payload.toString()]), [
    [0, "v"],
    [0, "v"],
    [0, "1"],
    [1, "not found"],
  ]);
  assert.deepEqual([1, 2].map((version) => stores.get(version).get("k")), ["v", "v"]);
});
`;
