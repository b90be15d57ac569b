import fc from "fast-check";
import t from "tap";
import { packDigests, unpackDigest } from "../../fleet/exchange.ts";
import type { NodeDigest } from "../../fleet/view.ts";
import { Packr } from "msgpackr";

const digest: NodeDigest = {
  node: "n1",
  address: "10.77.0.1",
  revision: 17e11,
  versions: [
    {
      service: "kv",
      version: 1,
      stage: "running",
      enteredAtMs: 5,
      history: [
        {
          stage: "running",
          enteredAtMs: 5,
        },
      ],
    },
  ],
};
const pack = (value: unknown) => new Packr({ useRecords: false }).pack(value);

t.test("a node speaks for itself, and for nobody else", async (t) => {
  t.same(unpackDigest("10.77.0.1", pack(digest)), digest);
  t.equal(unpackDigest("10.77.0.2", pack(digest)), undefined);
});

t.test("a node may tell its IPv6 address, and nothing else for one", async (t) => {
  const told = { ...digest, address6: "fd10:77::1" };
  t.same(unpackDigest("10.77.0.1", pack(told)), told);
  for (const address6 of ["10.77.0.1", "", "fd10::x", 7])
    t.equal(unpackDigest("10.77.0.1", pack({ ...digest, address6 })), undefined, String(address6));
});

t.test("any bytes are a digest or nothing, never an exception", async () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => unpackDigest("10.77.0.1", bytes) === undefined),
  );
});

t.test("a digest with more versions than a node may tell is refused", async (t) => {
  const versions = Array.from({ length: 17 }, () => digest.versions[0]);
  t.equal(unpackDigest("10.77.0.1", pack({ ...digest, versions })), undefined);
  t.ok(packDigests([digest]).length < 200);
});
