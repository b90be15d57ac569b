/** Copying a release into a domain. Dropbear has no SFTP, so the bytes go through the input of a command. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { AgentError } from "../errors.ts";
import type { Session } from "./session.ts";
import { quoteWord } from "./shell.ts";

export interface CopyOptions {
  /** Default 600,000. */
  readonly timeoutMs?: number;
  readonly onProgress?: (sentBytes: number, totalBytes: number) => void;
  readonly signal?: AbortSignal | undefined;
}

const timeoutMsDefault = 600_000;
/** Exit status of our command when other bytes arrived than were sent (EX_DATAERR of sysexits.h). */
const alteredStatus = 65;

export async function copyIn(
  session: Session,
  file: string,
  directory: string,
  options: CopyOptions,
): Promise<void> {
  if (!/^\/[^/]/.test(directory)) {
    throw new AgentError("E_BAD_REQUEST", `A release cannot be unpacked into ${JSON.stringify(directory)}.`);
  }
  const totalBytes = (await stat(file)).size;
  const hash = createHash("sha256");
  await pipeline(createReadStream(file), hash, { signal: options.signal });
  const stdin = createReadStream(file);
  const counted = stdin.pipe(countBytes((sent) => options.onProgress?.(sent, totalBytes)));
  stdin.once("error", (error) => counted.destroy(error));
  try {
    const result = await session.exec(receiveCommand(directory, hash.digest("hex")), {
      stdin: counted,
      timeoutMs: options.timeoutMs ?? timeoutMsDefault,
      signal: options.signal,
    });
    if (result.exitCode !== 0) throw failure(file, directory, result);
  } finally {
    stdin.destroy();
    counted.destroy();
  }
}

/**
 * Receives beside the directory, compares, unpacks beside it too, and only then puts it in the old one's place. The
 * tarball is on the disk for a moment because nothing may be unpacked before it is compared.
 *
 * In an emulated machine starting a program takes 20 to 30 ms, most of it for finding its libraries. So there are few,
 * and where busybox is, its shell runs them itself; but for `tar`, of which busybox' own knows less.
 */
export function receiveCommand(directory: string, sha256: string): string {
  const target = quoteWord(directory.replace(/\/+$/, ""));
  const script = [
    `set -e; d=${target}; i=$d.incoming; [ ! -e "$i" ] || rm -rf "$i"; mkdir -p "$i/root"`,
    `trap 'rm -rf "$i"' EXIT`,
    `cat >"$i/archive"; sum=$(sha256sum <"$i/archive")`,
    `[ "\${sum%% *}" = ${sha256} ] || exit ${alteredStatus}`,
    `for tar in /usr/bin/tar /bin/tar tar; do [ ! -x "$tar" ] || break; done`,
    `"$tar" -xzf "$i/archive" -C "$i/root" --no-same-owner`,
    `[ ! -e "$d" ] || rm -rf "$d"; mv "$i/root" "$d"`,
  ].join("\n");
  return `exec $(command -v busybox) sh -c ${quoteWord(script)}`;
}

function countBytes(report: (bytes: number) => void): Transform {
  let bytes = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length;
      report(bytes);
      done(null, chunk);
    },
  });
}

function failure(file: string, directory: string, result: { exitCode: number; output: string }): AgentError {
  const end = result.output.trim().slice(-300);
  if (result.exitCode === alteredStatus)
    return new AgentError("E_SSH", `${file} arrived altered in the domain; try again.`);
  if (/No space left on device/.test(end)) {
    return new AgentError(
      "E_DISK_FULL",
      `The domain's disk is too small for ${file}; make the release smaller.`,
    );
  }
  return new AgentError("E_SSH", `${file} could not be unpacked into ${directory} of the domain: ${end}`);
}
