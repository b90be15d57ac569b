/**
 * A libvirtd for unit tests: it speaks the protocol on a unix socket and keeps domains in memory. Tests can make it
 * refuse, stay silent, answer late, and go away.
 */
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import type { Server, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  encodePacket,
  MessageStatus,
  MessageType,
  PacketSplitter,
} from "../../../domain/libvirt/rpc/frame.ts";
import type { Packet } from "../../../domain/libvirt/rpc/frame.ts";
import {
  LIFECYCLE_MESSAGE,
  procedures,
  PROGRAM,
  PROTOCOL_VERSION,
  readDomain,
} from "../../../domain/libvirt/rpc/protocol.ts";
import { answerTo, ping } from "../../../domain/libvirt/rpc/keepalive.ts";
import { XdrReader, XdrWriter } from "../../../domain/libvirt/rpc/xdr.ts";

interface Kept {
  readonly name: string;
  readonly uuid: Buffer;
  readonly xml: string;
  running: boolean;
}

/** What a call gets instead of its ordinary answer. */
export type Trick = "silence" | "garbage" | "hang up" | { readonly code: number; readonly message: string };

const NO_DOMAIN = { code: 42, message: "Domain not found" };
const NOT_RUNNING = { code: 55, message: "domain is not running" };
const EVENT = { undefined: 1, started: 2, stopped: 5 } as const;

export class FakeLibvirtd {
  readonly directory = mkdtempSync(join(tmpdir(), "fake-libvirtd-"));
  readonly socketPath = join(this.directory, "sock");
  readonly domains = new Map<string, Kept>();
  /** By procedure name; used once each. */
  readonly tricks = new Map<string, Trick[]>();
  readonly calls: string[] = [];
  authTypes = [0];
  libVersion = 9_000_000n;
  /** Keepalive questions that it was asked. */
  pings = 0;
  /** As a daemon whose event loop stands still: nothing is answered, not even pings. */
  hangs = false;
  #onPong: () => void = () => undefined;
  /** Resolves with the first answer to `ping()`. */
  readonly ponged = new Promise<void>((resolve) => (this.#onPong = resolve));
  /** Milliseconds before each answer, by procedure name. */
  readonly delaysMs = new Map<string, number>();
  readonly #sockets = new Set<Socket>();
  readonly #listeners = new Set<Socket>();
  #server: Server | undefined;

  async start(): Promise<this> {
    this.#server = createServer((socket) => this.#serve(socket));
    await new Promise<void>((resolve) => this.#server?.listen(this.socketPath, resolve));
    return this;
  }

  /** As when the daemon is killed: connections break, the socket file is gone. Domains stay. */
  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => this.#server?.close(() => resolve()));
  }

  async remove(): Promise<void> {
    await this.stop();
    rmSync(this.directory, { recursive: true, force: true });
  }

  /** Asks everyone who is connected for a sign of life. */
  ping(): void {
    for (const socket of this.#sockets) socket.write(encodePacket(ping));
  }

  /** The domain ends by itself. */
  crash(name: string): void {
    const domain = this.domains.get(name);
    if (domain === undefined) return;
    domain.running = false;
    this.tell(domain, EVENT.stopped);
  }

  tell(domain: Kept, event: number): void {
    const payload = new XdrWriter()
      .int(0)
      .string(domain.name)
      .fixedOpaque(domain.uuid)
      .int(1)
      .int(event)
      .int(0);
    for (const socket of this.#listeners) {
      socket.write(this.#packet(LIFECYCLE_MESSAGE, MessageType.event, 0, MessageStatus.ok, payload.bytes()));
    }
  }

  #packet(procedure: number, type: number, serial: number, status: number, payload: Buffer): Buffer {
    return encodePacket({
      program: PROGRAM,
      version: PROTOCOL_VERSION,
      procedure,
      type,
      serial,
      status,
      payload,
    });
  }

  #serve(socket: Socket): void {
    const splitter = new PacketSplitter();
    this.#sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.on("close", () => {
      this.#sockets.delete(socket);
      this.#listeners.delete(socket);
    });
    socket.on("data", (chunk: Buffer) => {
      for (const packet of splitter.push(chunk)) this.#receive(socket, packet);
    });
  }

  #receive(socket: Socket, packet: Packet): void {
    if (this.hangs) return;
    const sign = answerTo(packet);
    if (sign === "none") this.#onPong();
    else if (sign !== undefined) {
      this.pings++;
      socket.write(encodePacket(sign));
    }
    if (sign === undefined) this.#call(socket, packet);
  }

  #call(socket: Socket, packet: Packet): void {
    const name = Object.values(procedures).find((one) => one.number === packet.procedure)?.name ?? "unknown";
    this.calls.push(name);
    const trick = this.tricks.get(name)?.shift();
    if (trick === "silence") return;
    if (trick === "hang up") socket.destroy();
    else if (trick === "garbage") socket.write(Buffer.from("nonsense"));
    else {
      const answer = trick === undefined ? this.#answer(socket, name, new XdrReader(packet.payload)) : trick;
      const [status, payload] = answer instanceof XdrWriter ? [0, answer.bytes()] : [1, errorOf(answer)];
      const bytes = this.#packet(packet.procedure, MessageType.reply, packet.serial, status, payload);
      setTimeout(() => socket.write(bytes), this.delaysMs.get(name) ?? 0).unref();
    }
  }

  #answer(socket: Socket, name: string, args: XdrReader): XdrWriter | { code: number; message: string } {
    const reply = new XdrWriter();
    switch (name) {
      case "auth_list":
        reply.uint(this.authTypes.length);
        for (const type of this.authTypes) reply.int(type);
        return reply;
      case "connect_get_lib_version":
        return reply.uint(Number(this.libVersion >> 32n)).uint(Number(this.libVersion & 0xffff_ffffn));
      case "connect_domain_event_callback_register_any":
        this.#listeners.add(socket);
        return reply.int(0);
      case "connect_list_all_domains":
        reply.uint(this.domains.size);
        for (const domain of this.domains.values()) writeRef(reply, domain);
        return reply.uint(this.domains.size);
      case "domain_define_xml_flags":
        return writeRef(reply, this.define(args.string()));
      case "domain_create_xml":
        return this.#start(args.string(), reply);
      case "domain_lookup_by_name": {
        const domain = this.domains.get(args.string());
        return domain === undefined ? NO_DOMAIN : writeRef(reply, domain);
      }
      case "connect_supports_feature":
        return reply.int(1);
      case "connect_open":
      case "connect_close":
        return reply;
      default: {
        const domain = this.domains.get(readDomain(args).name);
        return domain === undefined ? NO_DOMAIN : this.#onDomain(name, domain, reply);
      }
    }
  }

  #onDomain(name: string, domain: Kept, reply: XdrWriter): XdrWriter | { code: number; message: string } {
    if (name === "domain_get_state") return reply.int(domain.running ? 1 : 5).int(0);
    if (name === "domain_get_xml_desc") return reply.string(domain.xml);
    // Its guests end at once when they are asked to.
    if (name === "domain_destroy_flags" || name === "domain_shutdown_flags") {
      if (!domain.running) return NOT_RUNNING;
      this.crash(domain.name);
      return reply;
    }
    this.domains.delete(domain.name);
    this.tell(domain, EVENT.undefined);
    return reply;
  }

  #start(xml: string, reply: XdrWriter): XdrWriter | { code: number; message: string } {
    if (xml.includes("no-such")) return { code: 38, message: "Cannot open the tap no-such" };
    const domain = this.define(xml);
    domain.running = true;
    this.tell(domain, EVENT.started);
    return writeRef(reply, domain);
  }

  /** As a domain that is kept; one that runs goes on. */
  define(xml: string): Kept {
    const name = /<name>([^<]+)<\/name>/.exec(xml)?.[1] ?? "";
    const domain = this.domains.get(name) ?? { name, uuid: randomBytes(16), xml, running: false };
    this.domains.set(name, domain);
    return domain;
  }
}

function writeRef(reply: XdrWriter, domain: Kept): XdrWriter {
  return reply
    .string(domain.name)
    .fixedOpaque(domain.uuid)
    .int(domain.running ? 1 : -1);
}

function errorOf(error: { readonly code: number; readonly message: string }): Buffer {
  return new XdrWriter()
    .int(error.code)
    .int(10)
    .optional(error.message, (to, text) => to.string(text))
    .bytes();
}
