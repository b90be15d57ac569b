/** Length and SHA-256 of a file, streamed. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { AgentError } from "../errors.ts";

export interface Digest {
  /** Bytes. */
  readonly length: number;
  /** Hex. */
  readonly sha256: string;
}

export async function digestFile(file: string, signal?: AbortSignal): Promise<Digest> {
  const hash = createHash("sha256");
  let length = 0;
  const stream = createReadStream(file, {
    highWaterMark: 1024 * 1024,
    ...(signal === undefined ? {} : { signal }),
  });
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    hash.update(chunk);
    length += chunk.byteLength;
  }
  return { length, sha256: hash.digest("hex") };
}

/** Throws `E_RELEASE_ALTERED` unless the file is the very one that was signed. */
export async function checkDigest(file: string, signed: Digest, signal?: AbortSignal): Promise<void> {
  const found = await digestFile(file, signal);
  if (found.length === signed.length && found.sha256 === signed.sha256) return;
  const what =
    found.length === signed.length ? "its SHA-256 differs" : `${found.length} bytes for ${signed.length}`;
  throw new AgentError(
    "E_RELEASE_ALTERED",
    `${file} is not the release that was signed (${what}); fetch it again.`,
  );
}
