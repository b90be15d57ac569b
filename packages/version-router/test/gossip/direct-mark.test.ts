import * as fc from "fast-check";
import t from "tap";
import type { AdvertisedStatus } from "../../control/contract.ts";
import { decodeDirectMark, DIRECT_MARK_BYTES_MAX, encodeDirectMark } from "../../gossip/direct-mark.ts";

const version = fc.integer({ min: 1, max: 2 ** 28 - 1 });
const direct = fc.record({
  service: fc.stringMatching(/^[a-z][a-z0-9-]{0,31}$/),
  senderVersion: version,
  advertisements: fc.array(
    fc.record({
      version,
      status: fc.constantFrom<AdvertisedStatus>("running", "available", "retired", "aborted"),
    }),
    { minLength: 1, maxLength: 16 },
  ),
});

t.test("the golden datagram of docs/WIRE.md", async (t) => {
  const bytes = encodeDirectMark({
    service: "kv",
    senderVersion: 1,
    advertisements: [{ version: 2, status: "available" }],
  });
  t.equal(Buffer.from(bytes).toString("hex"), "565244a91000000120000002000000006b76");
});

t.test("what is encoded is decoded", async () => {
  fc.assert(
    fc.property(direct, (wanted) => {
      const bytes = encodeDirectMark(wanted);
      t.ok(bytes.length <= DIRECT_MARK_BYTES_MAX);
      t.same(decodeDirectMark(bytes), wanted);
    }),
  );
});

t.test("any bytes are decoded or refused, never thrown at", async () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => {
      decodeDirectMark(bytes);
    }),
  );
  fc.assert(
    fc.property(direct, fc.nat(), fc.integer({ min: 0, max: 255 }), (wanted, at, value) => {
      const bytes = encodeDirectMark(wanted);
      bytes[at % bytes.length] = value;
      decodeDirectMark(bytes);
    }),
  );
});

t.test("refused: another service's name under the marks", async (t) => {
  const bytes = encodeDirectMark({
    service: "kv",
    senderVersion: 1,
    advertisements: [{ version: 2, status: "available" }],
  });
  bytes[bytes.length - 1] = "x".codePointAt(0) ?? 0;
  t.equal(decodeDirectMark(bytes), undefined);
});

t.test("refused: no mark, no name, too long", async (t) => {
  const wanted = {
    service: "kv",
    senderVersion: 1,
    advertisements: [{ version: 2, status: "available" as const }],
  };
  const bytes = encodeDirectMark(wanted);
  t.equal(decodeDirectMark(bytes.subarray(16)), undefined);
  t.equal(decodeDirectMark(bytes.subarray(0, 16)), undefined);
  t.equal(decodeDirectMark(new Uint8Array(DIRECT_MARK_BYTES_MAX + 1)), undefined);
  t.equal(decodeDirectMark(new Uint8Array()), undefined);
});

t.test("a status of a later release is left out", async (t) => {
  const bytes = encodeDirectMark({
    service: "kv",
    senderVersion: 1,
    advertisements: [{ version: 2, status: "available" }],
  });
  bytes[8] = 0xf0;
  t.same(decodeDirectMark(bytes), { service: "kv", senderVersion: 1, advertisements: [] });
});
