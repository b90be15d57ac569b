/**
 * Releases on this node: `DIRECTORY/SERVICE/VERSION/{release.json,release.torrent,release.tar.gz}`, and `proxy/` beside
 * them once the proxy module was unpacked. Everything appears by a rename, so that a crash leaves nothing half there;
 * only `release.tar.gz.part` may be partial, and the swarm goes on with it.
 *
 * The store keeps what was verified; it does not decide what to trust.
 */
import { constants } from "node:fs";
import { copyFile, mkdir, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { AgentError } from "../errors.ts";
import type { Swarm } from "../swarm/contract.ts";
import { checkTorrent } from "../swarm/torrent.ts";
import { canonicalJson, encodeEnvelope } from "../trust/index.ts";
import type { Envelope } from "./contract.ts";
import { checkDigest } from "./digest.ts";
import { extractRelease } from "./extract.ts";
import { diskFull, exists, isMissing, syncDirectory, syncFile, writeFileAtomically } from "./files.ts";
import { inspectRelease } from "./inspect.ts";
import { RELEASE_BYTES_MAX } from "./limits.ts";
import { tarballName } from "./pack.ts";
import {
  ENVELOPE_FILE,
  ReleaseReader,
  releaseStatement,
  TORRENT_FILE,
  type ReleaseStatement,
} from "./reader.ts";

export interface ReleaseStoreOptions {
  /** Absolute. */
  readonly directory: string;
  /** Bytes of one tarball, default 2 GiB; a greater one is refused as soon as its statement is known. */
  readonly releaseBytesMax?: number;
}

export function createReleaseStore(options: ReleaseStoreOptions): ReleaseStore {
  return new ReleaseStore(options);
}

/** One writer at a time; readers need not wait. */
export class ReleaseStore extends ReleaseReader {
  readonly #releaseBytesMax: number;
  #lastWrite: Promise<unknown> = Promise.resolve();

  constructor({ directory, releaseBytesMax = RELEASE_BYTES_MAX }: ReleaseStoreOptions) {
    super(directory);
    this.#releaseBytesMax = releaseBytesMax;
  }

  /**
   * Keeps metadata that the caller has verified. Repeating it is fine. Throws `E_TORRENT_MISMATCH` when the torrent is
   * not the signed one, `E_TOO_LARGE`, `E_DISK_FULL`, `E_VERSION_NOT_NEWER` when another release has this number.
   */
  putMetadata(envelope: Envelope, torrent: Uint8Array): Promise<void> {
    return this.#write(() => this.#putMetadata(envelope, torrent));
  }

  /** Checks the downloaded part file against the statement and takes it. Idempotent. Throws as `verify` does. */
  complete(service: string, version: number): Promise<void> {
    return this.#write(async () => {
      const { partFile } = await this.metadata(service, version);
      await this.#take(service, version, partFile);
    });
  }

  /**
   * Takes a tarball from elsewhere on this machine (a copy, or a clone where the file system can). `envelope` has been
   * verified by the caller. After an error nothing new is left. Throws as `verify` and `putMetadata` do.
   */
  async importTarball(envelope: Envelope, file: string, swarm: Pick<Swarm, "createTorrent">): Promise<void> {
    const statement = releaseStatement(envelope);
    const { service, version } = statement.manifest;
    await this.verify(file, statement);
    const { torrent } = await swarm.createTorrent(file, tarballName(statement.manifest));
    await this.#write(async () => {
      const known = await this.hasMetadata(service, version);
      await this.#putMetadata(envelope, torrent);
      // Not the part file: a download may be writing that.
      const copy = join(this.place(service, version), "import");
      try {
        if (!(await this.isComplete(service, version)))
          await copyFile(file, copy, constants.COPYFILE_FICLONE);
        await this.#take(service, version, copy);
      } catch (error) {
        await (known ? rm(copy, { force: true }) : this.#remove(service, version));
        throw diskFull(error, this.directory);
      }
    });
  }

  /**
   * Throws `E_RELEASE_ALTERED` unless `file` is what was signed: its length, its hash, and the manifest inside it.
   * Throws as `inspectRelease` when it is that, but not safe to unpack.
   */
  async verify(file: string, statement: ReleaseStatement, signal?: AbortSignal): Promise<void> {
    await checkDigest(file, statement, signal);
    const { manifest } = await inspectRelease(file, signal === undefined ? {} : { signal });
    if (canonicalJson(manifest) === canonicalJson(statement.manifest)) return;
    throw new AgentError(
      "E_RELEASE_ALTERED",
      `${file} holds another version.json than was signed; pack it again.`,
    );
  }

  /**
   * Unpacks a part of a complete release into `targetDirectory`, which must not exist yet: all below `subtree` (the
   * whole release when it is empty) and the `package.json` at the root, which says how to read its modules. After an
   * error the directory is gone again. Throws `E_BAD_REQUEST` when it exists, `E_NO_VERSION`, `E_DISK_FULL`.
   */
  async extract(service: string, version: number, targetDirectory: string, subtree = ""): Promise<void> {
    const { tarball } = await this.metadata(service, version);
    const wanted = (path: string) =>
      subtree === "" || path === subtree || path.startsWith(`${subtree}/`) || path === "package.json";
    // What exists is not ours: its links could lead the files astray, and a failure would remove what others put there.
    if (await exists(targetDirectory)) {
      throw new AgentError("E_BAD_REQUEST", `${targetDirectory} exists; name a directory that does not.`);
    }
    try {
      await extractRelease(tarball, targetDirectory, wanted);
    } catch (error) {
      await rm(targetDirectory, { recursive: true, force: true });
      throw diskFull(error, this.directory);
    }
  }

  /**
   * Path of the release's proxy module on this host, unpacked on first use with the directory it lies in and all below
   * (a module at the root brings the whole release). Throws `E_PROXY` when the manifest names none.
   */
  async extractProxy(service: string, version: number): Promise<string> {
    const { statement, tarball } = await this.metadata(service, version);
    const module = statement.manifest.proxy?.module;
    if (module === undefined)
      throw new AgentError("E_PROXY", `${service} ${version} has no proxy module; see docs/MANIFEST.md.`);
    const target = join(dirname(tarball), "proxy");
    return this.#write(async () => {
      if (!(await exists(target))) {
        const aside = `${target}.new`;
        await rm(aside, { recursive: true, force: true });
        await this.extract(service, version, aside, module.split("/").slice(0, -1).join("/"));
        await rename(aside, target);
        await syncDirectory(dirname(target));
      }
      return join(target, module);
    });
  }

  /** Removes all of it; what is not there is fine. Stop giving it in the swarm first. */
  remove(service: string, version: number): Promise<void> {
    return this.#write(() => this.#remove(service, version));
  }

  async #take(service: string, version: number, file: string): Promise<void> {
    if (await this.isComplete(service, version)) return;
    const { statement, tarball } = await this.metadata(service, version);
    if (!(await exists(file)))
      throw new AgentError("E_FETCH", `${file} is not there; download the release first.`);
    try {
      await this.verify(file, statement);
    } catch (error) {
      if (error instanceof AgentError) await rm(file, { force: true });
      throw error;
    }
    await syncFile(file);
    await rename(file, tarball);
    await syncDirectory(dirname(tarball));
  }

  async #remove(service: string, version: number): Promise<void> {
    const place = this.place(service, version);
    const gone = `${place}.gone`;
    await rm(gone, { recursive: true, force: true });
    await rename(place, gone).catch((error: unknown) => {
      if (!isMissing(error)) throw error;
    });
    await rm(gone, { recursive: true, force: true });
    await rm(`${place}.new`, { recursive: true, force: true });
  }

  async #putMetadata(envelope: Envelope, torrent: Uint8Array): Promise<void> {
    const statement = releaseStatement(envelope);
    const { service, version } = statement.manifest;
    const { length } = checkTorrent(torrent, statement.infohash);
    if (length !== statement.length) {
      throw new AgentError(
        "E_TORRENT_MISMATCH",
        `The torrent is for ${length} bytes, the release has ${statement.length}.`,
      );
    }
    if (length > this.#releaseBytesMax) {
      throw new AgentError(
        "E_TOO_LARGE",
        `${service} ${version} has ${length} bytes; at most ${this.#releaseBytesMax} are kept.`,
      );
    }
    if (await this.#isKnown(statement)) return;
    const place = this.place(service, version);
    const aside = `${place}.new`;
    try {
      await rm(aside, { recursive: true, force: true });
      await mkdir(aside, { recursive: true });
      await writeFileAtomically(join(aside, TORRENT_FILE), torrent);
      await writeFileAtomically(join(aside, ENVELOPE_FILE), encodeEnvelope(envelope));
      await rename(aside, place);
      await syncDirectory(dirname(place));
    } catch (error) {
      await rm(aside, { recursive: true, force: true });
      throw diskFull(error, this.directory);
    }
  }

  async #isKnown(statement: ReleaseStatement): Promise<boolean> {
    const { service, version } = statement.manifest;
    if (!(await this.hasMetadata(service, version))) return false;
    const present = await this.metadata(service, version);
    if (canonicalJson(present.statement) === canonicalJson(statement)) return true;
    const message = `Another release is here as ${service} ${version}; give the new one a greater number.`;
    throw new AgentError("E_VERSION_NOT_NEWER", message);
  }

  #write<Result>(work: () => Promise<Result>): Promise<Result> {
    const result = this.#lastWrite.then(work);
    this.#lastWrite = result.catch(() => undefined);
    return result;
  }
}
