/** The image store: base images and private disks on this machine's file system. */
import { AgentError } from "../errors.ts";
import type { DomainDisk } from "../domain/hypervisor.ts";
import { currentBase } from "./bases.ts";
import { buildBase } from "./build/build.ts";
import { defaultRegisterTool } from "./build/recipe.ts";
import type { BaseImage, ImageStore } from "./contract.ts";
import { Disks } from "./disks.ts";

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

  prepareDisk(name: string, kind: DomainDisk["kind"]): Promise<DomainDisk> {
    return this.#inTurn(name, async () => {
      const found = await this.#disks.find(name, kind);
      if (found !== undefined) return found;
      const base = await this.base();
      if (base === undefined) {
        throw new AgentError(
          "E_NO_BASE_IMAGE",
          "There is no base image yet; make one with: vm-upgrade image build",
        );
      }
      return this.#disks.make(name, kind, base);
    });
  }

  removeDisk(name: string): Promise<void> {
    return this.#inTurn(name, () => this.#disks.remove(name));
  }

  listDisks(): Promise<readonly string[]> {
    return this.#disks.list();
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
