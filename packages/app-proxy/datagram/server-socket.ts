/** One client's socket towards one version: connected, so that the kernel drops what others send to its port. */
import dgram from "node:dgram";
import { isIPv6 } from "node:net";
import type { Endpoint } from "../connection/tcp.ts";

export interface ServerSocketEvents {
  message(bytes: Buffer): void;
  /** Nobody listens there (an ICMP message says so), or the socket cannot be used. */
  lost(error: NodeJS.ErrnoException): void;
}

export class ServerSocket {
  readonly #socket: dgram.Socket;
  /** What is to be sent as soon as the socket is connected, in the same turn of the event loop or the next. */
  #early: Buffer[] | undefined = [];
  #closed = false;

  constructor({ host, port }: Endpoint, events: ServerSocketEvents) {
    this.#socket = dgram.createSocket(isIPv6(host) ? "udp6" : "udp4");
    this.#socket.on("message", (bytes) => events.message(bytes));
    this.#socket.on("error", (error) => {
      if (!this.#closed) events.lost(error);
    });
    this.#socket.on("connect", () => {
      const early = this.#early ?? [];
      this.#early = undefined;
      for (const bytes of early) this.send(bytes);
    });
    this.#socket.connect(port, host);
  }

  send(bytes: Buffer): void {
    if (this.#closed) return;
    if (this.#early === undefined) this.#socket.send(bytes);
    else this.#early.push(bytes);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#socket.close();
  }
}
