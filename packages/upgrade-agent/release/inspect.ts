/**
 * Looks through a tarball without unpacking it: is it a release, and is it safe to unpack? Everything is bounded, for
 * nothing is known about the file yet.
 */
import { createReadStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import { Parser, type ReadEntry } from "tar";
import { AgentError } from "../errors.ts";
import type { Manifest } from "./contract.ts";
import { ENTRIES_MAX, MANIFEST_BYTES_MAX, UNPACKED_BYTES_MAX } from "./limits.ts";
import { parseManifest } from "./manifest.ts";
import { entryPath, linkStaysInside, throughLink } from "./paths.ts";

export const MANIFEST_FILE = "version.json";

export interface Inspection {
  readonly manifest: Manifest;
  readonly entries: number;
  /** Bytes of the tar stream inside. */
  readonly unpackedBytes: number;
}

export interface InspectOptions {
  readonly entriesMax?: number;
  readonly unpackedBytesMax?: number;
  readonly signal?: AbortSignal;
}

/**
 * Throws `E_NOT_A_RELEASE` (no gzip, no tar, no version.json, paths or links that leave the tree, devices, hard links,
 * a path twice, cut off), `E_TOO_LARGE` (more entries or bytes than allowed, a zip bomb included), `E_MANIFEST`.
 */
export async function inspectRelease(file: string, options: InspectOptions = {}): Promise<Inspection> {
  const { entriesMax = ENTRIES_MAX, unpackedBytesMax = UNPACKED_BYTES_MAX, signal } = options;
  const survey = new Survey(file, entriesMax);
  let unpackedBytes = 0;
  const consume = async (chunks: AsyncIterable<Buffer>) => {
    for await (const chunk of chunks) {
      // tar's parser would unpack a second layer by itself, past our count.
      if (unpackedBytes === 0 && isCompressed(chunk)) throw notRelease(file, "is compressed twice");
      unpackedBytes += chunk.byteLength;
      if (unpackedBytes > unpackedBytesMax) {
        throw new AgentError(
          "E_TOO_LARGE",
          `${file} unpacks to more than ${unpackedBytesMax} bytes; it is refused.`,
        );
      }
      survey.write(chunk);
    }
  };
  try {
    const source = createReadStream(file, { highWaterMark: 256 * 1024 });
    await pipeline(
      source,
      createGunzip({ chunkSize: 256 * 1024 }),
      consume,
      signal === undefined ? {} : { signal },
    );
    return { manifest: survey.end(), entries: survey.entries, unpackedBytes };
  } catch (error) {
    throw translate(error, file);
  }
}

/** What one pass over the entries finds. Its handlers throw right out of `write`. */
class Survey {
  readonly #file: string;
  readonly #entriesMax: number;
  readonly #parser: Parser;
  readonly #paths = new Set<string>();
  readonly #links = new Set<string>();
  #manifest: Buffer[] | undefined;
  readonly #files = new Set<string>();
  entries = 0;

  constructor(file: string, entriesMax: number) {
    this.#file = file;
    this.#entriesMax = entriesMax;
    this.#parser = new Parser({
      strict: true,
      brotli: false,
      zstd: false,
      onReadEntry: (entry) => this.#onEntry(entry),
    });
    this.#parser.on("error", (error: unknown) => {
      throw notRelease(file, "is not a tarball", error);
    });
    this.#parser.on("ignoredEntry", (entry: ReadEntry) => {
      throw notRelease(file, `holds ${JSON.stringify(entry.path)}, an entry of type ${entry.type}`);
    });
  }

  write(chunk: Buffer): void {
    try {
      this.#parser.write(chunk);
    } catch (error) {
      throw error instanceof AgentError ? error : notRelease(this.#file, "is not a tarball", error);
    }
  }

  /** The manifest, after the last byte. */
  end(): Manifest {
    this.#parser.end();
    if (this.#manifest === undefined) throw notRelease(this.#file, `holds no ${MANIFEST_FILE}`);
    for (const path of this.#paths) {
      const link = throughLink(path, this.#links);
      if (link !== undefined)
        throw notRelease(this.#file, `holds ${JSON.stringify(path)} behind the link ${JSON.stringify(link)}`);
    }
    const manifest = parseManifest(Buffer.concat(this.#manifest));
    checkNamedFiles(manifest, this.#files);
    return manifest;
  }

  #onEntry(entry: ReadEntry): void {
    this.entries += 1;
    if (this.entries > this.#entriesMax) {
      throw new AgentError(
        "E_TOO_LARGE",
        `${this.#file} holds more than ${this.#entriesMax} entries; it is refused.`,
      );
    }
    const path = entryPath(entry.path);
    const name = JSON.stringify(entry.path);
    if (path === undefined) throw notRelease(this.#file, `holds ${name}, a path that leaves the release`);
    if (this.#paths.has(path)) throw notRelease(this.#file, `holds ${name} twice`);
    this.#paths.add(path);
    if (entry.type === "SymbolicLink") this.#onLink(path, entry.linkpath ?? "");
    else if (entry.type === "File" || entry.type === "OldFile") this.#onFile(path, entry);
    else if (entry.type !== "Directory")
      throw notRelease(this.#file, `holds ${name}, an entry of type ${entry.type}`);
    entry.resume();
  }

  #onLink(path: string, target: string): void {
    if (!linkStaysInside(path, target)) {
      throw notRelease(this.#file, `holds ${JSON.stringify(path)}, a link that leaves the release`);
    }
    this.#links.add(path);
  }

  #onFile(path: string, entry: ReadEntry): void {
    this.#files.add(path);
    if (path !== MANIFEST_FILE) return;
    if (entry.size > MANIFEST_BYTES_MAX) {
      throw new AgentError("E_MANIFEST", `version.json: has more than ${MANIFEST_BYTES_MAX} bytes.`);
    }
    const chunks: Buffer[] = [];
    this.#manifest = chunks;
    entry.on("data", (chunk: Buffer) => chunks.push(chunk));
  }
}

/** Throws `E_MANIFEST` when the manifest names a proxy module or a part of an image that the release does not hold. */
export function checkNamedFiles({ proxy, image }: Manifest, files: ReadonlySet<string>): void {
  const named = [
    ["proxy.module", proxy?.module],
    ["image.oci", image?.oci],
    ["image.kernel", image?.kernel],
    ["image.initramfs", image?.initramfs],
  ] as const;
  const faults = named.flatMap(([field, path]) =>
    path === undefined || files.has(path) ? [] : [`${field}: ${path} is not a file of the release`],
  );
  if (image?.root !== undefined && !isFileOrDirectory(image.root, files))
    faults.push(`image.root: ${image.root} is neither a file nor a directory of the release`);
  if (faults.length === 0) return;
  const count = faults.length === 1 ? "1 fault" : `${faults.length} faults`;
  throw new AgentError("E_MANIFEST", `version.json has ${count}:\n  ${faults.join("\n  ")}`);
}

function isFileOrDirectory(path: string, files: ReadonlySet<string>): boolean {
  return files.has(path) || [...files].some((file) => file.startsWith(`${path}/`));
}

function isCompressed(chunk: Buffer): boolean {
  const magic = chunk.toString("hex", 0, 4);
  return magic.startsWith("1f8b") || magic === "28b52ffd";
}

function notRelease(file: string, why: string, cause?: unknown): AgentError {
  return new AgentError("E_NOT_A_RELEASE", `${file} ${why}; make a release with "vm-upgrade pack".`, cause);
}

function translate(error: unknown, file: string): unknown {
  if (error instanceof AgentError) return error;
  const code = (error as NodeJS.ErrnoException).code ?? "";
  if (code.startsWith("Z_") || code === "ERR_BUFFER_TOO_LARGE")
    return notRelease(file, "is not a gzip file", error);
  if (code === "ENOENT" || code === "EISDIR") return notRelease(file, "is not a file", error);
  return error;
}
