/** The UDP socket for direct marks, at the node's service address. */
import { createSocket } from "node:dgram";
import type { Socket } from "node:dgram";
import { RouterError } from "../errors.ts";

export interface ExchangeSocket {
  onDatagram(listener: (datagram: Uint8Array, peerAddress: string) => void): void;
  send(datagram: Uint8Array, peerAddress: string): Promise<void>;
  close(): Promise<void>;
}

/** The same port is used on every node. Throws E_PORT_TAKEN, E_BAD_REQUEST. */
export async function openExchangeSocket(serviceAddress: string, port: number): Promise<ExchangeSocket> {
  const socket = createSocket("udp4");
  await bind(socket, serviceAddress, port);
  // Errors of single sends come back there; anything else here would end the daemon for no reason.
  socket.on("error", () => undefined);
  return {
    onDatagram: (listener) => socket.on("message", (datagram, { address }) => listener(datagram, address)),
    send: (datagram, peerAddress) =>
      new Promise((resolve, reject) => {
        socket.send(datagram, port, peerAddress, (error) => (error === null ? resolve() : reject(error)));
      }),
    close: () => new Promise((resolve) => socket.close(() => resolve())),
  };
}

async function bind(socket: Socket, address: string, port: number): Promise<void> {
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once("error", reject);
      socket.bind({ address, port, exclusive: true }, () => {
        socket.off("error", reject);
        resolve();
      });
    });
  } catch (cause) {
    socket.close();
    const { code } = cause as NodeJS.ErrnoException;
    if (code === "EADDRINUSE") {
      throw new RouterError(
        "E_PORT_TAKEN",
        `udp/${port} at ${address} is in use; set another exchangePort.`,
        cause,
      );
    }
    throw new RouterError(
      "E_BAD_REQUEST",
      `Cannot use ${address} as service address (${code}); correct it.`,
      cause,
    );
  }
}
