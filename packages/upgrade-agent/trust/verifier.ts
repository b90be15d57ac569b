/** The seam: whoever needs a statement verified asks a `Verifier`, and does not know by what means it trusts. */
import type { Statement } from "../release/contract.ts";
import { verifyEnvelope, type StatementOf } from "./envelope.ts";
import type { TrustedKeys } from "./keys.ts";

export interface Verifier {
  /**
   * The statement inside, or throws as `verifyEnvelope` does. `envelope` is bytes as they came, or what JSON.parse
   * made of them. Judges by what is known now and never waits: a TUF client behind this interface refreshes its
   * metadata at its own times.
   */
  verify<Kind extends Statement["kind"]>(envelope: Uint8Array | object, kind: Kind): StatementOf<Kind>;
}

/** Trusts statements signed by any of these keys. */
export function createVerifier(trustedKeys: TrustedKeys): Verifier {
  return { verify: (envelope, kind) => verifyEnvelope(envelope, trustedKeys, { kind }) };
}
