export { canonicalJson } from "./canonical.ts";
export {
  encodeEnvelope,
  ENVELOPE_BYTES_MAX,
  signStatement,
  verifyEnvelope,
  type StatementOf,
} from "./envelope.ts";
export {
  generateFleetKey,
  keyidOf,
  loadPrivateKey,
  loadPublicKey,
  loadTrustedKeys,
  type FleetKey,
  type TrustedKeys,
} from "./keys.ts";
export { createVerifier, type Verifier } from "./verifier.ts";
