/**
 * Debian's package index, kept in a directory of our own: the machine's apt is neither changed nor asked about
 * packages, only about where its mirror is.
 */
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { AgentError } from "../../errors.ts";
import { run } from "./command.ts";
import { debianSources, formatSources } from "./debian-sources.ts";

/** A package in the one version that the index offers. */
export interface ResolvedPackage {
  readonly name: string;
  readonly version: string;
}

/** An index younger than this is not fetched again, ms. */
const freshMs = 24 * 60 * 60 * 1000;

export class Apt {
  readonly #directory: string;
  readonly #signal: AbortSignal | undefined;

  constructor(directory: string, signal?: AbortSignal) {
    this.#directory = directory;
    this.#signal = signal;
  }

  get sourcesFile(): string {
    return join(this.#directory, "debian.sources");
  }

  get listsDirectory(): string {
    return join(this.#directory, "lists");
  }

  /** Fetches the index unless there is a fresh one. Without a network an older index is used as it is. */
  async refresh(): Promise<void> {
    await mkdir(join(this.listsDirectory, "partial"), { recursive: true });
    await mkdir(join(this.#directory, "cache/archives/partial"), { recursive: true });
    await writeFile(join(this.#directory, "status"), "");
    const sources = formatSources(debianSources(await readSourceFiles("/etc/apt")));
    const known = existsSync(this.sourcesFile) ? await readFile(this.sourcesFile, "utf8") : "";
    const stamp = join(this.#directory, "refreshed");
    const ageMs = existsSync(stamp) ? Date.now() - (await stat(stamp)).mtimeMs : Infinity;
    if (known === sources && ageMs < freshMs) return;
    await writeFile(this.sourcesFile, sources);
    try {
      await this.#apt(["--error-on=any", "update"]);
    } catch (error) {
      if (known !== sources || !existsSync(stamp) || this.#signal?.aborted) throw error;
      return;
    }
    await writeFile(stamp, "");
    await utimes(stamp, new Date(), new Date());
  }

  /** Everything that installing these words (packages or apt patterns) into an empty root would install. */
  async resolve(words: readonly string[]): Promise<ResolvedPackage[]> {
    const plan = await this.#apt(["--simulate", "--no-install-recommends", "install", ...words]);
    const packages = [...plan.matchAll(/^Inst (\S+) \((\S+) /gm)].map(([, name = "", version = ""]) => ({
      name,
      version,
    }));
    if (packages.length === 0)
      throw new AgentError("E_IMAGE_BUILD", `apt plans nothing for ${words.join(" ")}.`);
    return packages.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Fetches one package into a directory and answers its path. */
  async download(wanted: ResolvedPackage, directory: string): Promise<string> {
    await this.#apt(["download", `${wanted.name}=${wanted.version}`], directory);
    const file = (await readdir(directory)).find((entry) => entry.startsWith(`${wanted.name}_`));
    if (file === undefined)
      throw new AgentError("E_IMAGE_BUILD", `apt fetched ${wanted.name} but left no file.`);
    return join(directory, file);
  }

  #apt(args: readonly string[], cwd?: string): Promise<string> {
    const settings = {
      "APT::Architecture": "amd64",
      "APT::Sandbox::User": "root",
      "Acquire::GzipIndexes": "false",
      "Acquire::Languages": "none",
      "Dir::Cache": join(this.#directory, "cache"),
      "Dir::Cache::pkgcache": "",
      "Dir::Cache::srcpkgcache": "",
      "Dir::Etc::Preferences": "/dev/null",
      "Dir::Etc::PreferencesParts": "/dev/null",
      "Dir::Etc::SourceList": this.sourcesFile,
      "Dir::Etc::SourceParts": "/dev/null",
      "Dir::State": this.#directory,
      "Dir::State::Status": join(this.#directory, "status"),
    };
    const options = Object.entries(settings).flatMap(([name, value]) => ["-o", `${name}=${value}`]);
    return run("apt-get", ["-qq", ...options, ...args], {
      signal: this.#signal,
      ...(cwd === undefined ? {} : { cwd }),
    });
  }
}

async function readSourceFiles(etcApt: string): Promise<{ name: string; text: string }[]> {
  const parts = join(etcApt, "sources.list.d");
  const listed = existsSync(parts) ? (await readdir(parts)).toSorted().map((name) => join(parts, name)) : [];
  const names = [join(etcApt, "sources.list"), ...listed].filter((name) => /\.(list|sources)$/.test(name));
  const files = names.filter((name) => existsSync(name));
  return Promise.all(files.map(async (name) => ({ name, text: await readFile(name, "utf8") })));
}
