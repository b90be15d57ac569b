/**
 * Lays the layers of an image over each other (OCI image specification 1.1, "Image Layer Filesystem Changeset"):
 * later entries replace earlier ones, `.wh.NAME` removes NAME of the layers below, `.wh..wh..opq` all that is in its
 * directory. Only files, directories and links are made. Nothing of the image runs, and nothing is written outside.
 */
import { constants } from "node:fs";
import { chmod, lchown, link, mkdir, open, readdir, rm, symlink, utimes } from "node:fs/promises";
import { dirname, join } from "node:path";
import { toolsPath } from "../build/tools.ts";
import { archivePath, directoryInside, lstatOrNothing } from "./inside.ts";
import { ID_MAX, ROOT_BYTES_MAX, ROOT_ENTRIES_MAX } from "./limits.ts";
import { format, tarEntries, type TarEntry } from "./tar-stream.ts";
import { AgentError } from "../../errors.ts";

export interface UnpackLimits {
  readonly bytesMax?: number;
  readonly entriesMax?: number;
  readonly signal?: AbortSignal | undefined;
}

const whiteout = ".wh.";
const opaque = ".wh..wh..opq";
/** Leftovers of AUFS that some archives hold. */
const whiteoutMeta = ".wh..wh.";

/** `root` is a directory that only we can enter, empty at first. One layer after the other. */
export class Unpacker {
  readonly #root: string;
  readonly #limits: Required<Pick<UnpackLimits, "bytesMax" | "entriesMax">> & UnpackLimits;
  #bytes = 0;
  entries = 0;
  /** Devices and pipes, left out: domains have their own. */
  skipped = 0;
  /** What this layer has made itself, which its whiteouts do not mean. Host paths. */
  #made = new Set<string>();
  readonly #times = new Map<string, Date>();

  constructor(root: string, limits: UnpackLimits = {}) {
    this.#root = root;
    this.#limits = { bytesMax: ROOT_BYTES_MAX, entriesMax: ROOT_ENTRIES_MAX, ...limits };
  }

  /** Bytes of a tar stream, unpacked already. Throws E_IMAGE_FORMAT, E_TOO_LARGE. */
  async layer(chunks: AsyncIterable<Buffer>): Promise<void> {
    this.#made = new Set();
    for await (const entry of tarEntries(this.#counted(chunks))) {
      this.#limits.signal?.throwIfAborted();
      this.entries += 1;
      if (this.entries > this.#limits.entriesMax)
        throw tooLarge(`more than ${this.#limits.entriesMax} entries`);
      await this.#entry(entry);
    }
  }

  /** After the last layer: directories get their times, which every file written into them had changed. */
  async finish(): Promise<void> {
    for (const [directory, time] of this.#times) {
      // It may be gone since, or lie behind what became a link, by which the host's own would get another time.
      const there = await directoryInside(this.#root, directory.slice(this.#root.length)).catch(
        () => undefined,
      );
      if (there === directory) await utimes(directory, time, time);
    }
  }

  async *#counted(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const chunk of chunks) {
      this.#bytes += chunk.length;
      if (this.#bytes > this.#limits.bytesMax) throw tooLarge(`more than ${this.#limits.bytesMax} bytes`);
      yield chunk;
    }
  }

  async #entry(entry: TarEntry): Promise<void> {
    const path = archivePath(entry.path);
    if (path === toolsPath || path.startsWith(`${toolsPath}/`))
      throw format(`it holds /${toolsPath}, which is ours`);
    if (path === "") return this.#rootItself(entry);
    const cut = path.lastIndexOf("/");
    const name = path.slice(cut + 1);
    const parentPath = path.slice(0, Math.max(cut, 0));
    if (name.startsWith(whiteout)) return this.#whiteout(parentPath, name);
    if (["CharacterDevice", "BlockDevice", "FIFO"].includes(entry.type)) {
      this.skipped += 1;
      return;
    }
    if (entry.uid > ID_MAX || entry.gid > ID_MAX) {
      throw format(`${JSON.stringify(path)} belongs to ${entry.uid}:${entry.gid}; ids end at ${ID_MAX}`);
    }
    const parent = await this.#parent(parentPath);
    if (this.#isOurs(join(parent, name))) throw format(`${JSON.stringify(path)} leads into /${toolsPath}`);
    await this.#make(entry, join(parent, name));
  }

  /** A link may lead into the directory of our tools, however its path is spelt. */
  #isOurs(host: string): boolean {
    const ours = join(this.#root, toolsPath);
    return host === ours || host.startsWith(`${ours}/`);
  }

  async #rootItself(entry: TarEntry): Promise<void> {
    if (entry.type !== "Directory") throw format("its root is no directory");
    await this.#adorn(entry, this.#root);
  }

  async #parent(path: string): Promise<string> {
    const made = await directoryInside(this.#root, path, (directory) => {
      this.#remember(directory);
      this.#times.set(directory, new Date(0));
    });
    if (made === undefined) throw format(`${JSON.stringify(path)} is no directory`);
    return made;
  }

  async #make(entry: TarEntry, host: string): Promise<void> {
    const there = await lstatOrNothing(host);
    const merges = entry.type === "Directory" && there?.isDirectory() === true;
    // A hard link to itself would otherwise remove what it means.
    const target = entry.type === "Link" ? await this.#linkTarget(entry) : undefined;
    if (target === host) return;
    if (there !== undefined && !merges) await rm(host, { recursive: true });
    this.#remember(host);
    switch (entry.type) {
      case "Directory":
        if (!merges) await mkdir(host, { mode: 0o700 });
        return this.#adorn(entry, host);
      case "SymbolicLink":
        if (entry.linkpath === "") throw format("it holds a link to nowhere");
        await symlink(entry.linkpath, host);
        return lchown(host, entry.uid, entry.gid);
      case "Link":
        return link(String(target), host);
      case "File":
      case "OldFile":
      case "ContiguousFile":
        await this.#file(entry, host);
        return this.#adorn(entry, host);
      default:
        throw format(`it holds an entry of type ${entry.type}`);
    }
  }

  /** With all that it lies in: a whiteout of that means what was there before. */
  #remember(host: string): void {
    for (let path = host; path !== this.#root && !this.#made.has(path); path = dirname(path))
      this.#made.add(path);
  }

  async #file(entry: TarEntry, host: string): Promise<void> {
    const { O_CREAT, O_EXCL, O_WRONLY, O_NOFOLLOW } = constants;
    const handle = await open(host, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW, 0o600);
    try {
      for await (const piece of entry.body) await handle.write(piece);
    } finally {
      await handle.close();
    }
  }

  /** Owner first: changing it takes the set-user-ID bit away. */
  async #adorn(entry: TarEntry, host: string): Promise<void> {
    await lchown(host, entry.uid, entry.gid);
    await chmod(host, entry.mode);
    if (entry.type === "Directory") this.#times.set(host, entry.mtime);
    else await utimes(host, entry.mtime, entry.mtime);
  }

  /** Only files: a link to a link, or to a directory, is of no use that an image could need. */
  async #linkTarget(entry: TarEntry): Promise<string> {
    const path = archivePath(entry.linkpath);
    const cut = path.lastIndexOf("/");
    const directory = await directoryInside(this.#root, path.slice(0, Math.max(cut, 0)));
    const host = join(directory ?? this.#root, path.slice(cut + 1));
    const stats = directory === undefined ? undefined : await lstatOrNothing(host);
    if (stats?.isFile() === true || stats?.isSymbolicLink() === true) return host;
    throw format(`${JSON.stringify(entry.path)} is a hard link to ${JSON.stringify(path)}, which is no file`);
  }

  async #whiteout(parentPath: string, name: string): Promise<void> {
    const parent = await directoryInside(this.#root, parentPath);
    if (parent === undefined) return;
    if (name === opaque) return this.#clear(parent);
    if (name.startsWith(whiteoutMeta)) return;
    const removed = name.slice(whiteout.length);
    if (removed === "" || removed === "." || removed === "..") throw format(`${name} removes nothing`);
    await this.#remove(join(parent, removed));
  }

  /** Removes what layers below have brought, and leaves what this one has made. */
  async #clear(directory: string): Promise<void> {
    for (const name of await readdir(directory)) await this.#remove(join(directory, name));
  }

  async #remove(host: string): Promise<void> {
    const stats = await lstatOrNothing(host);
    if (stats === undefined) return;
    if (!this.#made.has(host)) return rm(host, { recursive: true });
    if (stats.isDirectory()) return this.#clear(host);
  }
}

function tooLarge(what: string): AgentError {
  return new AgentError("E_TOO_LARGE", `The image holds ${what}; it is refused (docs/LIMITS.md).`);
}
