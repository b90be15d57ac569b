/**
 * Where releases lie on this node, and reading them: `DIRECTORY/SERVICE/VERSION/` holds `release.json`,
 * `release.torrent` and, once complete, `release.tar.gz`.
 */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { AgentError } from "../errors.ts";
import { checkStatement } from "../trust/statement.ts";
import type { Envelope, Statement } from "./contract.ts";
import { exists, isMissing } from "./files.ts";
import { SERVICE_PATTERN, VERSION_MAX } from "./manifest.ts";

export type ReleaseStatement = Extract<Statement, { readonly kind: "release" }>;

export interface StoredRelease {
  readonly statement: ReleaseStatement;
  readonly envelope: Envelope;
  readonly torrent: Uint8Array;
  /** There only when complete. */
  readonly tarball: string;
  /** Where a download goes, until `complete` checks and renames it. */
  readonly partFile: string;
}

export interface ListedRelease {
  readonly service: string;
  readonly version: number;
  readonly complete: boolean;
}

export const ENVELOPE_FILE = "release.json";
export const TORRENT_FILE = "release.torrent";
const TARBALL_FILE = "release.tar.gz";

export class ReleaseReader {
  protected readonly directory: string;

  constructor(directory: string) {
    this.directory = directory;
  }

  /** Whether the signed metadata is here; the tarball may still be missing. */
  hasMetadata(service: string, version: number): Promise<boolean> {
    return exists(join(this.place(service, version), ENVELOPE_FILE));
  }

  /** Whether the tarball is here, checked. */
  isComplete(service: string, version: number): Promise<boolean> {
    return exists(join(this.place(service, version), TARBALL_FILE));
  }

  /** Throws `E_NO_VERSION`. */
  async metadata(service: string, version: number): Promise<StoredRelease> {
    const place = this.place(service, version);
    try {
      const envelope = JSON.parse(await readFile(join(place, ENVELOPE_FILE), "utf8")) as Envelope;
      return {
        statement: releaseStatement(envelope),
        envelope,
        torrent: await readFile(join(place, TORRENT_FILE)),
        tarball: join(place, TARBALL_FILE),
        partFile: join(place, `${TARBALL_FILE}.part`),
      };
    } catch (error) {
      if (!isMissing(error)) throw error;
      throw new AgentError(
        "E_NO_VERSION",
        `This node does not have ${service} ${version}; see "vm-upgrade versions".`,
        error,
      );
    }
  }

  /** Sorted by service, then version. */
  async list(): Promise<readonly ListedRelease[]> {
    const found: ListedRelease[] = [];
    for (const service of await names(this.directory)) {
      if (!SERVICE_PATTERN.test(service)) continue;
      const versions = (await names(join(this.directory, service))).filter((name) =>
        /^[1-9][0-9]*$/u.test(name),
      );
      for (const version of versions.map(Number).toSorted((a, b) => a - b)) {
        if (!(await this.hasMetadata(service, version))) continue;
        found.push({ service, version, complete: await this.isComplete(service, version) });
      }
    }
    return found;
  }

  /** Throws `E_BAD_REQUEST` for names that cannot be a release's, and might be a path. */
  protected place(service: string, version: number): string {
    if (
      !SERVICE_PATTERN.test(service) ||
      !Number.isInteger(version) ||
      version < 1 ||
      version > VERSION_MAX
    ) {
      throw new AgentError("E_BAD_REQUEST", `${JSON.stringify(service)} ${version} cannot name a release.`);
    }
    return join(this.directory, service, String(version));
  }
}

export function releaseStatement(envelope: Envelope): ReleaseStatement {
  const statement = checkStatement(envelope.signed);
  if (statement.kind === "release") return statement;
  throw new AgentError("E_SIGNATURE", "This statement is not about a release; fetch the release's own.");
}

async function names(directory: string): Promise<string[]> {
  try {
    return (await readdir(directory)).toSorted();
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}
