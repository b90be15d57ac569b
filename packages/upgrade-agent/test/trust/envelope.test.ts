import { createHash, createPrivateKey, createPublicKey, sign } from "node:crypto";
import * as fc from "fast-check";
import t from "tap";
import type { Envelope, Statement } from "../../release/contract.ts";
import { checkManifest } from "../../release/index.ts";
import {
  canonicalJson,
  createVerifier,
  encodeEnvelope,
  ENVELOPE_BYTES_MAX,
  generateFleetKey,
  keyidOf,
  loadPublicKey,
  loadTrustedKeys,
  signStatement,
  verifyEnvelope,
} from "../../trust/index.ts";
import { makeFleet, manifestSource } from "../release/fixture.ts";

const release: Statement = {
  kind: "release",
  manifest: checkManifest(manifestSource),
  length: 1000,
  sha256: "ab".repeat(32),
  infohash: "cd".repeat(20),
};

const fleet = await makeFleet(t);
const trusted = await loadTrustedKeys(fleet.trustDirectory);
const envelope = await signStatement(release, fleet.keyFile);
const bytes = encodeEnvelope(envelope);

/** Verifies and expects to be refused. */
function refused(t: Tap, attacked: Uint8Array | object, code: string): void {
  t.throws(() => verifyEnvelope(attacked, trusted, { kind: "release" }), { code });
}
type Tap = Pick<typeof t, "throws">;

function text(edit: (text: string) => string): Uint8Array {
  return Buffer.from(edit(Buffer.from(bytes).toString()));
}

t.test("a sound envelope gives its statement, as bytes and as an object", async (t) => {
  t.same(verifyEnvelope(bytes, trusted, { kind: "release" }), release);
  t.same(verifyEnvelope(JSON.parse(Buffer.from(bytes).toString()), trusted, { kind: "release" }), release);
  t.same(createVerifier(trusted).verify(envelope, "release"), release);
});

t.test("what JSON.stringify makes of a parsed envelope is the same bytes", async (t) => {
  t.equal(JSON.stringify(JSON.parse(Buffer.from(bytes).toString())), Buffer.from(bytes).toString());
});

t.test("altered manifest", async (t) => {
  refused(
    t,
    text((s) => s.replace("node index.js", "evil index.js")),
    "E_SIGNATURE",
  );
  refused(
    t,
    { ...envelope, signed: { ...release, manifest: { ...release.manifest, memoryMiB: 512 } } },
    "E_SIGNATURE",
  );
});

t.test("altered length", async (t) =>
  refused(
    t,
    text((s) => s.replace('"length":1000', '"length":1001')),
    "E_SIGNATURE",
  ),
);

t.test("altered hash", async (t) =>
  refused(t, { ...envelope, signed: { ...release, sha256: "00".repeat(32) } }, "E_SIGNATURE"),
);

t.test("altered signature", async (t) => {
  const [signature] = envelope.signatures;
  const sig = signature?.sig.replace(/^../u, (first) => (first === "00" ? "01" : "00")) ?? "";
  refused(t, { ...envelope, signatures: [{ keyid: fleet.keyid, sig }] }, "E_SIGNATURE");
});

t.test("signature of another statement", async (t) => {
  const other = await signStatement({ ...release, length: 2000 }, fleet.keyFile);
  refused(t, { signed: envelope.signed, signatures: other.signatures }, "E_SIGNATURE");
});

t.test("signature of another kind", async (t) => {
  const retire = await signStatement({ kind: "retire", service: "kv", version: 2 }, fleet.keyFile);
  refused(t, encodeEnvelope(retire), "E_SIGNATURE");
  t.throws(() => verifyEnvelope(bytes, trusted, { kind: "retire" }), { code: "E_SIGNATURE" });
  t.equal(verifyEnvelope(retire, trusted, { kind: "retire" }).service, "kv");
});

t.test("kind renamed after signing", async (t) => {
  const retire = await signStatement({ kind: "retire", service: "kv", version: 2 }, fleet.keyFile);
  refused(t, { ...retire, signed: { ...retire.signed, kind: "release" } }, "E_SIGNATURE");
});

t.test("kind that nobody knows, soundly signed", async (t) => {
  const signed = { kind: "become-root", service: "kv" };
  const attacked = { signed, signatures: [{ keyid: fleet.keyid, sig: await rawSignature(signed) }] };
  refused(t, attacked, "E_SIGNATURE");
  t.throws(() => verifyEnvelope(attacked, trusted, { kind: "become-root" as "release" }), {
    code: "E_SIGNATURE",
  });
});

t.test("no signature", async (t) => refused(t, { ...envelope, signatures: [] }, "E_RELEASE_UNSIGNED"));

t.test("unknown key", async (t) => {
  const stranger = await makeFleet(t);
  refused(t, encodeEnvelope(await signStatement(release, stranger.keyFile)), "E_RELEASE_UNSIGNED");
});

t.test("unknown key that calls itself by a known keyid", async (t) => {
  const stranger = await makeFleet(t);
  const [signature] = (await signStatement(release, stranger.keyFile)).signatures;
  refused(t, { ...envelope, signatures: [{ keyid: fleet.keyid, sig: signature?.sig }] }, "E_SIGNATURE");
});

t.test("unknown key beside a known one is passed over", async (t) => {
  const stranger = await makeFleet(t);
  const { signatures } = await signStatement(release, stranger.keyFile);
  const both: Envelope = { ...envelope, signatures: [...signatures, ...envelope.signatures] };
  t.same(verifyEnvelope(both, trusted, { kind: "release" }), release);
});

t.test("one sound signature does not excuse a bad one of another trusted key", async (t) => {
  const second = await generateFleetKey(`${fleet.directory}/second.key`);
  const both = new Map([...trusted, [second.keyid, await loadPublicKey(second.publicKeyFile)]]);
  const forged = { keyid: second.keyid, sig: "00".repeat(64) };
  const attacked = { ...envelope, signatures: [...envelope.signatures, forged] };
  t.throws(() => verifyEnvelope(attacked, both, { kind: "release" }), { code: "E_SIGNATURE" });
});

t.test("one key that signs twice", async (t) => {
  refused(t, { ...envelope, signatures: [...envelope.signatures, ...envelope.signatures] }, "E_SIGNATURE");
});

t.test("more signatures than a fleet has keys", async (t) => {
  const many = Array.from({ length: 17 }, (_, at) => ({
    keyid: at.toString(16).padStart(64, "0"),
    sig: "00".repeat(64),
  }));
  refused(t, { ...envelope, signatures: [...many, ...envelope.signatures] }, "E_SIGNATURE");
});

t.test("duplicate keys in JSON", async (t) => {
  refused(
    t,
    text((s) => s.replace('{"signatures"', '{"signed":{"kind":"release"},"signatures"')),
    "E_SIGNATURE",
  );
  refused(
    t,
    text((s) => s.replace('"length":1000', '"length":1,"length":1000')),
    "E_SIGNATURE",
  );
});

t.test("oversized", async (t) => {
  refused(t, Buffer.alloc(ENVELOPE_BYTES_MAX + 1, " "), "E_TOO_LARGE");
  refused(t, { ...envelope, padding: "x".repeat(ENVELOPE_BYTES_MAX) }, "E_TOO_LARGE");
});

t.test("trailing garbage", async (t) => {
  refused(
    t,
    text((s) => `${s}{}`),
    "E_SIGNATURE",
  );
  refused(
    t,
    text((s) => `${s}\n`),
    "E_SIGNATURE",
  );
  refused(
    t,
    text((s) => `${s}\0`),
    "E_SIGNATURE",
  );
});

t.test("other spellings of the same value", async (t) => {
  refused(
    t,
    text((s) => s.replace("1000", "1e3")),
    "E_SIGNATURE",
  );
  refused(
    t,
    text((s) => s.replace("kv", "\\u006bv")),
    "E_SIGNATURE",
  );
  refused(t, Buffer.from(JSON.stringify(envelope, null, 2)), "E_SIGNATURE");
  refused(t, Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), bytes]), "E_SIGNATURE");
});

t.test("bytes that are not UTF-8", async (t) => {
  const attacked = Buffer.from(bytes);
  attacked[attacked.indexOf("kv")] = 0xff;
  refused(t, attacked, "E_SIGNATURE");
});

t.test("unknown members", async (t) => {
  refused(t, { ...envelope, extra: 1 }, "E_SIGNATURE");
  const signed = { ...release, extra: 1 };
  refused(
    t,
    { signed, signatures: [{ keyid: fleet.keyid, sig: await rawSignature(signed) }] },
    "E_SIGNATURE",
  );
});

t.test("soundly signed, but its manifest is faulty", async (t) => {
  const signed = { ...release, manifest: { ...release.manifest, memoryMib: 1 } };
  refused(t, { signed, signatures: [{ keyid: fleet.keyid, sig: await rawSignature(signed) }] }, "E_MANIFEST");
  await t.rejects(
    signStatement(signed, fleet.keyFile),
    { code: "E_MANIFEST" },
    "and cannot be signed by mistake",
  );
});

t.test("__proto__ in an envelope", async (t) => {
  refused(
    t,
    JSON.parse('{"__proto__":{"signatures":[]},"signed":{"kind":"release"},"signatures":[]}'),
    "E_SIGNATURE",
  );
});

t.test("replay of an older version verifies: that versions grow is not trust's to judge", async (t) => {
  const older = await signStatement(
    { ...release, manifest: { ...release.manifest, version: 1 } },
    fleet.keyFile,
  );
  t.equal(verifyEnvelope(older, trusted, { kind: "release" }).manifest.version, 1);
});

t.test("no change of a byte goes unnoticed", async () => {
  fc.assert(
    fc.property(fc.nat(bytes.byteLength - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
      const attacked = Uint8Array.from(bytes);
      attacked[at] = (attacked[at] ?? 0) ^ change;
      return codeOf(attacked) !== undefined;
    }),
  );
});

t.test("random bytes and random JSON are refused with a code", async () => {
  const known = new Set(["E_SIGNATURE", "E_RELEASE_UNSIGNED", "E_TOO_LARGE"]);
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (random) => known.has(codeOf(random) ?? "")));
  fc.assert(fc.property(fc.json(), (json) => known.has(codeOf(Buffer.from(json)) ?? "")));
  fc.assert(fc.property(fc.object(), (value) => known.has(codeOf(value) ?? "")));
});

t.test("the signature is plain Ed25519 over the canonical JSON, which openssl can check", async (t) => {
  t.equal(envelope.signatures[0]?.sig, await rawSignature(release));
  const der = createPublicKey(await privateKey()).export({ type: "spki", format: "der" });
  t.equal(fleet.keyid, createHash("sha256").update(der).digest("hex"));
  t.equal(keyidOf(await privateKey()), fleet.keyid);
});

function codeOf(attacked: Uint8Array | object): string | undefined {
  try {
    verifyEnvelope(attacked, trusted, { kind: "release" });
    return undefined;
  } catch (error) {
    return (error as { code?: string }).code;
  }
}

async function privateKey() {
  const { readFile } = await import("node:fs/promises");
  return createPrivateKey(await readFile(fleet.keyFile));
}

async function rawSignature(signed: object): Promise<string> {
  return sign(null, Buffer.from(canonicalJson(signed)), await privateKey()).toString("hex");
}
