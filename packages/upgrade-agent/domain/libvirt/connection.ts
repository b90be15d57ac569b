/**
 * libvirt in node-libvirt's words, over our RPC: a connection to a driver by its URI, and its domains. Nothing here
 * knows of versions or services; `driver.ts` does.
 */
import { AgentError } from "../../errors.ts";
import { Channel } from "./rpc/channel.ts";
import type { KeepAliveOptions } from "./rpc/keepalive.ts";
import { AUTH_NONE, procedures } from "./rpc/protocol.ts";
import type { DomainRef, LifecycleMessage } from "./rpc/protocol.ts";

/** libvirt 6.0.0, the oldest whose behaviour we rely on (schema validation of lxc, event callbacks); major × 10⁶. */
const LIB_VERSION_MIN = 6_000_000;

/** Milliseconds; a daemon's very first answer may wait for its probe of QEMU, and a busy machine is slow to start. */
const CALL_TIMEOUT_MS = 120_000;

export interface ConnectionOptions {
  /** libvirtd's unix socket, or `tcp://host:port`. */
  readonly socket: string;
  /** Driver, for example `qemu:///system`, `lxc:///system`, `test:///default`. */
  readonly uri: string;
  readonly callTimeoutMs?: number;
  readonly keepAlive?: KeepAliveOptions;
  /** Called from `listen()` on, in the order of the daemon's events. */
  readonly onLifecycle?: (message: LifecycleMessage) => void;
}

/** `virDomainState` */
const RUNNING_STATES: ReadonlySet<number> = new Set([1, 2, 4]);

export interface ShutdownOptions {
  /** SIGTERM to process 1. Left to itself, libvirt's lxc driver looks for a pipe that we do not have, and is content. */
  readonly bySignal?: boolean;
}

export class Domain {
  readonly #channel: Channel;
  readonly #ref: DomainRef;

  constructor(channel: Channel, ref: DomainRef) {
    this.#channel = channel;
    this.#ref = ref;
  }

  get name(): string {
    return this.#ref.name;
  }

  /** Ends it at once, as pulling the plug does. */
  async destroy(): Promise<void> {
    await this.#channel.call(procedures.destroy, this.#ref);
  }

  /** Asks the guest to stop, by its power button or its process 1; it may take its time, or never do it. */
  async shutdown({ bySignal = false }: ShutdownOptions = {}): Promise<void> {
    await this.#channel.call(procedures.shutdown, { domain: this.#ref, bySignal });
  }

  /** Throws unless libvirt knows the first process of the running container. Nothing happens to it. */
  async touchInit(): Promise<void> {
    await this.#channel.call(procedures.touchInit, this.#ref);
  }

  /** Writes the memory and state of the running domain to a file on libvirtd's host, and stops it. */
  async save(path: string): Promise<void> {
    await this.#channel.call(procedures.save, { domain: this.#ref, path });
  }

  async undefine(): Promise<void> {
    await this.#channel.call(procedures.undefine, this.#ref);
  }

  /** Running, blocked or shutting down; a paused one is not. */
  async isRunning(): Promise<boolean> {
    return RUNNING_STATES.has(await this.#channel.call(procedures.state, this.#ref));
  }

  async xml(): Promise<string> {
    return await this.#channel.call(procedures.xml, this.#ref);
  }
}

export class Connection {
  readonly #channel: Channel;
  /** As libvirt counts: 9.0.0 is 9,000,000. */
  readonly libVersion: number;

  private constructor(channel: Channel, libVersion: number) {
    this.#channel = channel;
    this.libVersion = libVersion;
  }

  /**
   * Throws E_NO_LIBVIRT when nobody answers or the daemon wants a password, E_LIBVIRT when it lacks the driver or is
   * older than we can work with.
   */
  static async open(options: ConnectionOptions): Promise<Connection> {
    const channel = await Channel.connect({
      address: options.socket,
      callTimeoutMs: options.callTimeoutMs ?? CALL_TIMEOUT_MS,
      ...(options.keepAlive === undefined ? {} : { keepAlive: options.keepAlive }),
      ...(options.onLifecycle === undefined ? {} : { onLifecycle: options.onLifecycle }),
    });
    try {
      const auth = await channel.call(procedures.authList, undefined);
      if (!auth.includes(AUTH_NONE)) throw authWanted(options.socket);
      await channel.call(procedures.askForKeepAlive, undefined);
      await channel.call(procedures.open, options.uri);
      const libVersion = Number(await channel.call(procedures.libVersion, undefined));
      if (libVersion < LIB_VERSION_MIN) throw tooOld(libVersion);
      return new Connection(channel, libVersion);
    } catch (error) {
      channel.close();
      throw error;
    }
  }

  get alive(): boolean {
    return this.#channel.alive;
  }

  /** Resolves, with the reason, when the connection is no more. */
  get ended(): Promise<Error> {
    return this.#channel.ended;
  }

  /** From now on `onLifecycle` hears of every domain. */
  async listen(): Promise<void> {
    await this.#channel.call(procedures.registerLifecycle, undefined);
  }

  /**
   * Starts a domain that nothing is kept of when it ends; `autodestroy` ends it with this connection. The XML must
   * follow libvirt's schema, here and in `defineDomain`.
   */
  async createDomain(xml: string, options: { readonly autodestroy: boolean }): Promise<Domain> {
    const { autodestroy } = options;
    return new Domain(this.#channel, await this.#channel.call(procedures.createXml, { xml, autodestroy }));
  }

  /** Keeps a domain of this name and uuid, which may be running, beyond its end. */
  async defineDomain(xml: string): Promise<Domain> {
    return new Domain(this.#channel, await this.#channel.call(procedures.defineXml, xml));
  }

  /** Goes on with a domain from the file that `Domain.save` wrote, under the name and uuid that the file gives. */
  async restoreDomain(path: string): Promise<void> {
    await this.#channel.call(procedures.restore, path);
  }

  /** Version of the hypervisor below libvirt, counted like `libVersion`. */
  async hypervisorVersion(): Promise<number> {
    return Number(await this.#channel.call(procedures.version, undefined));
  }

  /** Throws LibvirtError with code `noDomain` when there is none. */
  async lookupDomainByName(name: string): Promise<Domain> {
    return new Domain(this.#channel, await this.#channel.call(procedures.lookupByName, name));
  }

  /** All of them, whoever made them, running or not. */
  async listAllDomains(): Promise<Domain[]> {
    const refs = await this.#channel.call(procedures.listAllDomains, undefined);
    return refs.map((ref) => new Domain(this.#channel, ref));
  }

  async close(): Promise<void> {
    if (this.#channel.alive) await this.#channel.call(procedures.close, undefined).catch(() => undefined);
    this.#channel.close();
  }
}

function authWanted(socket: string): AgentError {
  const mend = 'set auth_unix_rw = "none" in /etc/libvirt/libvirtd.conf and restart libvirtd, or run as root';
  return new AgentError("E_NO_LIBVIRT", `libvirtd on ${socket} wants authentication; ${mend}.`);
}

function tooOld(version: number): AgentError {
  const words = [version / 1_000_000, (version / 1000) % 1000, version % 1000].map(Math.floor).join(".");
  return new AgentError("E_LIBVIRT", `libvirt ${words} is too old; install 6.0.0 or newer.`);
}
