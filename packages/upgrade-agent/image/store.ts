/** The image store: images and private disks on this machine's file system. */
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { DiskKind, DomainDisk, DomainIdentity } from "../domain/hypervisor.ts";
import { AgentError } from "../errors.ts";
import { currentBase } from "./bases.ts";
import { buildBase } from "./build/build.ts";
import { takeLock } from "./build/lock.ts";
import { defaultRegisterTool } from "./build/recipe.ts";
import type {
  BaseImage,
  DiskImage,
  DiskOrigin,
  ImageStore,
  ImportRequest,
  ListedImage,
  PruneReport,
  PruneRequest,
  StoredImage,
} from "./contract.ts";
import { Disks, type DiskParts } from "./disks.ts";
import { findImage, listImages } from "./images.ts";
import { importImage } from "./import/import.ts";
import { pruneImages } from "./prune.ts";
import { iso } from "./seed/iso.ts";
import { noCloudFiles, seedLabel } from "./seed/nocloud.ts";
import { claimImage, releaseImage } from "./uses.ts";

export interface ImageStoreOptions {
  /** Where base images live; nodes of one machine may share it. */
  readonly cacheDirectory: string;
  /** Private disks go to `disks` in it. */
  readonly stateDirectory: string;
  /** With less free space no disk is made, bytes, default 64 MiB. */
  readonly freeBytesMin?: number;
  /** The program that becomes /usr/bin/vm-register in domains; by default the router package's. */
  readonly registerTool?: string;
}

const freeBytesMinDefault = 64 * 1024 ** 2;

export class FileImageStore implements ImageStore {
  readonly #options: ImageStoreOptions;
  readonly #disks: Disks;
  /** The last work on each disk, so that calls about one name come one after another. */
  readonly #last = new Map<string, Promise<unknown>>();

  constructor(options: ImageStoreOptions) {
    this.#options = options;
    this.#disks = new Disks(`${options.stateDirectory}/disks`, options.freeBytesMin ?? freeBytesMinDefault);
  }

  base(): Promise<BaseImage | undefined> {
    return currentBase(this.#options.cacheDirectory);
  }

  build(options: Parameters<ImageStore["build"]>[0]): Promise<BaseImage> {
    return buildBase({
      directory: this.#options.cacheDirectory,
      registerTool: this.#options.registerTool ?? defaultRegisterTool(),
      onProgress: options.onProgress ?? (() => {}),
      signal: options.signal,
    });
  }

  import(request: ImportRequest): Promise<StoredImage> {
    return importImage(this.#options.cacheDirectory, request);
  }

  list(): Promise<readonly ListedImage[]> {
    return listImages(this.#options.cacheDirectory);
  }

  async inspect(digest: string): Promise<ListedImage> {
    const found = (await this.list()).filter((image) => image.digest.startsWith(digest));
    const [image] = found;
    if (image !== undefined && found.length === 1) return image;
    if (image !== undefined)
      throw new AgentError("E_BAD_REQUEST", `${digest} begins ${found.length} digests; write more of it.`);
    throw noImage(digest);
  }

  async prune(request: PruneRequest): Promise<PruneReport> {
    const { cacheDirectory } = this.#options;
    await mkdir(cacheDirectory, { recursive: true });
    const lock = { onWait: () => {}, signal: request.signal };
    const release = await takeLock(join(cacheDirectory, ".lock"), lock);
    try {
      return await pruneImages(cacheDirectory, request);
    } finally {
      await release();
    }
  }

  async renewUses(): Promise<void> {
    for (const name of await this.listDisks()) {
      const claim = await this.#disks.claim(name);
      for (const digest of await this.#disks.digests(name))
        await claimImage(this.#options.cacheDirectory, digest, claim);
    }
  }

  findDisk(name: string, kind: DiskKind): Promise<DomainDisk | undefined> {
    return this.#inTurn(name, () => this.#disks.find(name, kind));
  }

  prepareDisk(name: string, kind: DiskKind, wanted: DiskImage = {}): Promise<DomainDisk> {
    return this.#inTurn(name, async () => {
      const found = await this.#disks.find(name, kind);
      if (found !== undefined) return found;
      const parts = await this.#claimParts(name, wanted);
      try {
        return await this.#disks.make(name, kind, parts);
      } catch (error) {
        await this.#release(
          name,
          [parts.base, parts.image].map(({ directory }) => basename(directory)),
        );
        throw error;
      }
    });
  }

  async writeSeed(disk: DomainDisk, identity: DomainIdentity): Promise<void> {
    if (disk.kind !== "bootable") return;
    const registerTool = await readFile(this.#options.registerTool ?? defaultRegisterTool(), "utf8");
    // The key is made with the domain: another domain, another instance, and cloud-init begins anew.
    const instance = `${identity.hostname}-${identity.authorizedKey.split(" ")[1]?.slice(-16) ?? ""}`;
    const files = noCloudFiles(identity, instance, registerTool);
    await writeFile(`${disk.seed}.new`, iso(seedLabel, files), { mode: 0o444 });
    await rename(`${disk.seed}.new`, disk.seed);
  }

  removeDisk(name: string): Promise<void> {
    return this.#inTurn(name, async () => {
      const digests = await this.#disks.digests(name);
      await this.#disks.remove(name);
      await this.#release(name, digests);
    });
  }

  diskOrigin(name: string): Promise<DiskOrigin | undefined> {
    return this.#inTurn(name, () => this.#disks.origin(name));
  }

  useDisk(name: string): Promise<void> {
    return this.#inTurn(name, () => this.#disks.use(name));
  }

  freezeDisk(name: string): Promise<void> {
    return this.#inTurn(name, () => this.#disks.freeze(name));
  }

  stackDisk(name: string, spare: string): Promise<void> {
    return this.#inTurn(name, () => this.#disks.stack(name, spare));
  }

  renewDisk(name: string): Promise<void> {
    return this.#inTurn(name, () => this.#disks.renew(name));
  }

  listDisks(): Promise<readonly string[]> {
    return this.#disks.list();
  }

  /** First the claim, then the look: a prune that comes between finds the one, or we find that it came before. */
  async #claimParts(name: string, { digest, ...wanted }: DiskImage): Promise<DiskParts> {
    const { cacheDirectory } = this.#options;
    const claim = await this.#disks.claim(name);
    const base = await this.base();
    if (base === undefined) {
      throw new AgentError(
        "E_NO_BASE_IMAGE",
        "There is no base image yet; make one with: vm-upgrade image build",
      );
    }
    const digests = [...new Set([base.digest, digest ?? base.digest])];
    for (const each of digests) await claimImage(cacheDirectory, each, claim);
    const images = await Promise.all(digests.map((each) => this.#findNow(each)));
    const missing = digests.find((_, at) => images[at] === undefined);
    const image = images.at(-1);
    if (missing === undefined && image !== undefined) return { base, image, ...wanted };
    await this.#release(name, digests);
    throw noImage(missing ?? "");
  }

  async #release(name: string, digests: readonly string[]): Promise<void> {
    if (digests.length === 0) return;
    const claim = await this.#disks.claim(name);
    for (const digest of digests) await releaseImage(this.#options.cacheDirectory, digest, claim);
  }

  /** A prune that changes its mind hides an image for a moment. */
  async #findNow(digest: string): Promise<StoredImage | undefined> {
    for (let tries = 0; tries < 5; tries += 1) {
      const found = await findImage(this.#options.cacheDirectory, digest);
      if (found !== undefined) return found;
      await sleep(20);
    }
    return undefined;
  }

  async #inTurn<T>(name: string, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(name) ?? Promise.resolve();
    const mine = before.then(work, work);
    const settled = mine.catch(() => {});
    this.#last.set(name, settled);
    try {
      return await mine;
    } finally {
      if (this.#last.get(name) === settled) this.#last.delete(name);
    }
  }
}

function noImage(digest: string): AgentError {
  const message = `This node has no image ${digest}; give it the file with: vm-upgrade image import FILE`;
  return new AgentError("E_NO_IMAGE", message);
}
