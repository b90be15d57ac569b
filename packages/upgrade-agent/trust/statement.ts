/** The strict shape of a signed statement and of the envelope around it. */
import { z } from "zod";
import type { Statement } from "../release/contract.ts";
import { RELEASE_BYTES_MAX } from "../release/limits.ts";
import { checkManifest, serviceName, versionNumber } from "../release/manifest.ts";

/** Signatures in one envelope; a fleet has a handful of keys. */
const SIGNATURES_MAX = 16;

const hex = (digits: number) => z.string().regex(new RegExp(`^[0-9a-f]{${digits}}$`, "u"));

/** `signed` stays as it came until its signature is checked. */
export const envelopeShape = z.strictObject({
  signed: z.looseObject({ kind: z.string() }),
  signatures: z.array(z.strictObject({ keyid: hex(64), sig: hex(128) })).max(SIGNATURES_MAX),
});

const statementShape = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("release"),
    manifest: z.unknown(),
    length: z.int().min(1).max(RELEASE_BYTES_MAX),
    sha256: hex(64),
    infohash: hex(40),
  }),
  z.strictObject({ kind: z.literal("retire"), service: serviceName, version: versionNumber }),
]);

/** Throws `ZodError` for a wrong shape, `E_MANIFEST` for faults of the manifest inside. */
export function checkStatement(value: unknown): Statement {
  const statement = statementShape.parse(value);
  if (statement.kind === "retire") return statement;
  return { ...statement, manifest: checkManifest(statement.manifest) };
}
