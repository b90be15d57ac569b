/**
 * Signs statements and verifies them. The signature covers the canonical JSON of `signed`, its `kind` included.
 *
 * Bytes on the wire and on disk are the canonical JSON of the whole envelope, and nothing else is taken: so duplicate
 * keys, trailing bytes, other spellings of a number or a string are refused without a parser of our own.
 *
 * Not found out here: that a statement is older than one seen before. An old release's signature stays good for ever;
 * that versions only grow is for the life cycle to hold (`E_VERSION_NOT_NEWER`), and freshness is for TUF (decision 5).
 */
import { sign, verify, type KeyObject } from "node:crypto";
import { AgentError } from "../errors.ts";
import type { Envelope, Statement } from "../release/contract.ts";
import { canonicalJson } from "./canonical.ts";
import { keyidOf, loadPrivateKey, type TrustedKeys } from "./keys.ts";
import { checkStatement, envelopeShape } from "./statement.ts";

/** Bytes of an envelope; more is refused before anything is parsed. */
export const ENVELOPE_BYTES_MAX = 256 * 1024;

export type StatementOf<Kind extends Statement["kind"]> = Extract<Statement, { readonly kind: Kind }>;

/** Signs with the key in `privateKeyFile`. Throws `E_NO_KEY`, `E_CONFIG`, `E_MANIFEST`. */
export async function signStatement(statement: Statement, privateKeyFile: string): Promise<Envelope> {
  const key = await loadPrivateKey(privateKeyFile);
  const signed = checkStatement(statement);
  const sig = sign(null, Buffer.from(canonicalJson(signed)), key).toString("hex");
  return { signed, signatures: [{ keyid: keyidOf(key), sig }] };
}

/** The one spelling of an envelope, for files and for peers. */
export function encodeEnvelope(envelope: Envelope): Uint8Array {
  return Buffer.from(canonicalJson(envelope));
}

/**
 * The statement, when at least one trusted key signed it and no trusted key's signature is wrong.
 *
 * Throws `E_TOO_LARGE`, `E_RELEASE_UNSIGNED` (no signature, or only by keys that this node does not trust),
 * `E_SIGNATURE` (anything else that is not a sound statement of the kind asked for), `E_MANIFEST` (soundly signed, but
 * its manifest is faulty).
 */
export function verifyEnvelope<Kind extends Statement["kind"]>(
  envelope: Uint8Array | object,
  trustedKeys: TrustedKeys,
  expected: { readonly kind: Kind },
): StatementOf<Kind> {
  const { signed, signatures } = readShape(envelope);
  const known = signatures.flatMap(({ keyid, sig }) => {
    const key = trustedKeys.get(keyid);
    return key === undefined ? [] : [{ key, sig }];
  });
  if (signatures.length === 0) {
    throw new AgentError("E_RELEASE_UNSIGNED", "The statement bears no signature; sign it with a fleet key.");
  }
  if (known.length === 0) {
    const keyids = signatures.map(({ keyid }) => keyid.slice(0, 16)).join(", ");
    throw new AgentError(
      "E_RELEASE_UNSIGNED",
      `Signed only by keys that are not trusted here (${keyids}); sign with a fleet key.`,
    );
  }
  if (new Set(signatures.map(({ keyid }) => keyid)).size !== signatures.length)
    throw unsound("one key signed it twice");
  const message = Buffer.from(canonical(signed));
  if (!known.every(({ key, sig }) => signatureIsGood(key, message, sig))) {
    throw unsound("its signature does not fit, so it was altered after signing");
  }
  return readStatement(signed, expected.kind);
}

function readShape(envelope: Uint8Array | object): ReturnType<typeof envelopeShape.parse> {
  const value: unknown = envelope instanceof Uint8Array ? parseCanonical(envelope) : envelope;
  if (!(envelope instanceof Uint8Array)) limit(Buffer.byteLength(canonical(value)));
  const result = envelopeShape.safeParse(value);
  if (!result.success) throw unsound("it is not of the form {signed, signatures}", result.error);
  return result.data;
}

function parseCanonical(bytes: Uint8Array): unknown {
  limit(bytes.byteLength);
  let text: string;
  let value: unknown;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    value = JSON.parse(text);
  } catch (cause) {
    throw unsound("it is not JSON in UTF-8", cause);
  }
  if (canonical(value) !== text) throw unsound("it is not in canonical form, as written by encodeEnvelope");
  return value;
}

function readStatement<Kind extends Statement["kind"]>(
  signed: { kind: string },
  kind: Kind,
): StatementOf<Kind> {
  if (signed.kind !== kind) throw unsound(`it is a statement of another kind than "${kind}"`);
  let statement: Statement;
  try {
    statement = checkStatement(signed);
  } catch (cause) {
    throw cause instanceof AgentError ? cause : unsound(`its content is not that of a "${kind}"`, cause);
  }
  return statement as StatementOf<Kind>;
}

function signatureIsGood(key: KeyObject, message: Uint8Array, sig: string): boolean {
  return verify(null, message, key, Buffer.from(sig, "hex"));
}

function canonical(value: unknown): string {
  try {
    return canonicalJson(value);
  } catch (cause) {
    throw unsound("it holds values that cannot be signed", cause);
  }
}

function limit(bytes: number): void {
  if (bytes <= ENVELOPE_BYTES_MAX) return;
  throw new AgentError(
    "E_TOO_LARGE",
    `A signed statement has at most ${ENVELOPE_BYTES_MAX} bytes, this one ${bytes}; it is refused unread.`,
  );
}

function unsound(why: string, cause?: unknown): AgentError {
  return new AgentError(
    "E_SIGNATURE",
    `The signed statement is refused: ${why}; fetch it again or sign it anew.`,
    cause,
  );
}
