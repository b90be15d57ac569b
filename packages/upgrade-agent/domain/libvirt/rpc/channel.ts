/** One connection to libvirtd: calls in parallel, matched to their answers by serial, events, and signs of life. */
import { connect } from "node:net";
import type { Socket } from "node:net";
import { endpointOf } from "./address.ts";
import { LibvirtError, noLibvirt } from "./error.ts";
import { encodePacket, MessageStatus, MessageType, PacketSplitter } from "./frame.ts";
import type { Packet } from "./frame.ts";
import { answerTo, KEEP_ALIVE, KeepAlive, ping } from "./keepalive.ts";
import type { KeepAliveOptions } from "./keepalive.ts";
import { LIFECYCLE_MESSAGE, PROGRAM, PROTOCOL_VERSION, readError, readLifecycle } from "./protocol.ts";
import type { LifecycleMessage, Procedure } from "./protocol.ts";
import { XdrReader, XdrWriter } from "./xdr.ts";

interface Pending {
  readonly name: string;
  readonly settle: (packet: Packet) => void;
  readonly reject: (error: Error) => void;
}

export interface ChannelOptions {
  /** Path of the unix socket, or `tcp://host:port`. */
  readonly address: string;
  /** Milliseconds that any call may take; libvirt starts and stops domains within one call. */
  readonly callTimeoutMs: number;
  readonly keepAlive?: KeepAliveOptions;
  readonly onLifecycle?: (message: LifecycleMessage) => void;
}

export class Channel {
  readonly #options: ChannelOptions;
  readonly #socket: Socket;
  readonly #splitter = new PacketSplitter();
  readonly #pending = new Map<number, Pending>();
  readonly #ended: Promise<Error>;
  readonly #keepAlive: KeepAlive;
  readonly #ticks: NodeJS.Timeout;
  #failure: Error | undefined;
  #resolveEnded: (error: Error) => void = () => undefined;
  #serial = 0;

  private constructor(options: ChannelOptions, socket: Socket) {
    this.#options = options;
    this.#socket = socket;
    const keepAlive = options.keepAlive ?? KEEP_ALIVE;
    this.#keepAlive = new KeepAlive(keepAlive);
    this.#ticks = setInterval(() => this.#tick(), keepAlive.intervalMs).unref();
    this.#ended = new Promise((resolve) => (this.#resolveEnded = resolve));
    socket.on("data", (chunk: Buffer) => this.#receive(chunk));
    socket.on("error", (error) => this.#fail(error.message, error));
    socket.on("close", () => this.#fail("the connection was closed"));
  }

  /** Throws E_NO_LIBVIRT when there is no such socket or nobody accepts. */
  static connect(options: ChannelOptions): Promise<Channel> {
    return new Promise((resolve, reject) => {
      const socket = connect(endpointOf(options.address));
      const refuse = (error: Error): void => reject(noLibvirt(options.address, error.message, error));
      socket.once("error", refuse);
      socket.once("connect", () => {
        socket.off("error", refuse);
        resolve(new Channel(options, socket));
      });
    });
  }

  /** Resolves, with the reason, when the connection is no more. */
  get ended(): Promise<Error> {
    return this.#ended;
  }

  get alive(): boolean {
    return this.#failure === undefined;
  }

  /** Throws LibvirtError when the daemon refuses, E_NO_LIBVIRT when no answer comes; the connection is dead then. */
  async call<Args, Result>(procedure: Procedure<Args, Result>, args: Args): Promise<Result> {
    if (this.#failure !== undefined) throw this.#failure;
    const writer = new XdrWriter();
    procedure.write(writer, args);
    const serial = ++this.#serial;
    const packet = await this.#exchange(serial, procedure.name, {
      program: PROGRAM,
      version: PROTOCOL_VERSION,
      procedure: procedure.number,
      type: MessageType.call,
      serial,
      status: MessageStatus.ok,
      payload: writer.bytes(),
    });
    const reader = new XdrReader(packet.payload);
    try {
      if (packet.status === MessageStatus.ok) return procedure.read(reader);
      throw new LibvirtError(procedure.name, readError(reader));
    } catch (error) {
      if (!(error instanceof LibvirtError))
        this.#fail(`its answer to ${procedure.name} makes no sense`, error);
      throw this.#failure ?? error;
    }
  }

  async #exchange(serial: number, name: string, packet: Packet): Promise<Packet> {
    const { callTimeoutMs } = this.#options;
    const timer = setTimeout(
      () => this.#fail(`no answer to ${name} within ${callTimeoutMs} ms`),
      callTimeoutMs,
    );
    try {
      return await new Promise<Packet>((settle, reject) => {
        this.#pending.set(serial, { name, settle, reject });
        this.#socket.write(encodePacket(packet));
      });
    } finally {
      clearTimeout(timer);
      this.#pending.delete(serial);
    }
  }

  close(): void {
    this.#fail("we closed the connection");
  }

  #tick(): void {
    const verdict = this.#keepAlive.tick();
    if (verdict === "ping") this.#socket.write(encodePacket(ping));
    else if (verdict === "dead") this.#fail("it gives no sign of life");
  }

  #receive(chunk: Buffer): void {
    this.#keepAlive.heard();
    try {
      for (const packet of this.#splitter.push(chunk)) this.#dispatch(packet);
    } catch (error) {
      this.#fail("what it sends makes no sense", error);
    }
  }

  #dispatch(packet: Packet): void {
    const answer = answerTo(packet);
    if (answer !== undefined && answer !== "none") this.#socket.write(encodePacket(answer));
    if (packet.program !== PROGRAM || packet.version !== PROTOCOL_VERSION) return;
    if (packet.type === MessageType.reply) this.#pending.get(packet.serial)?.settle(packet);
    else if (packet.type === MessageType.event && packet.procedure === LIFECYCLE_MESSAGE) {
      this.#options.onLifecycle?.(readLifecycle(new XdrReader(packet.payload)));
    }
  }

  #fail(why: string, cause?: unknown): void {
    if (this.#failure !== undefined) return;
    this.#failure = noLibvirt(this.#options.address, why, cause);
    clearInterval(this.#ticks);
    this.#socket.destroy();
    for (const pending of this.#pending.values()) pending.reject(this.#failure);
    this.#pending.clear();
    this.#resolveEnded(this.#failure);
  }
}
