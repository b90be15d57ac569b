/** The UDP sockets for direct marks, at the node's service addresses. */
import { createSocket } from "node:dgram";
import type { Socket, SocketType } from "node:dgram";
import { canonicalIp, isIpv6 } from "../datapath/ip-address.ts";
import { RouterError } from "../errors.ts";

export interface ExchangeSocket {
  onDatagram(listener: (datagram: Uint8Array, peerAddress: string) => void): void;
  send(datagram: Uint8Array, peerAddress: string): Promise<void>;
  close(): Promise<void>;
}

/** One socket for each family. The same port is used on every node. Throws E_PORT_TAKEN, E_BAD_REQUEST. */
export async function openExchangeSocket(
  ownAddresses: readonly string[],
  port: number,
): Promise<ExchangeSocket> {
  const sockets = new Map<SocketType, Socket>();
  try {
    for (const address of ownAddresses) sockets.set(typeOf(address), await open(address, port));
  } catch (error) {
    for (const socket of sockets.values()) socket.close();
    throw error;
  }
  return {
    onDatagram(listener) {
      for (const socket of sockets.values()) {
        socket.on("message", (datagram, { address }) => {
          // Who has only an address of the link is no node: nobody could be told of it.
          if (!address.includes("%")) listener(datagram, canonicalIp(address));
        });
      }
    },
    send: (datagram, peerAddress) =>
      new Promise((resolve, reject) => {
        const socket = sockets.get(typeOf(peerAddress));
        if (socket === undefined) return reject(new Error(`this node cannot speak to ${peerAddress}`));
        socket.send(datagram, port, peerAddress, (error) => (error === null ? resolve() : reject(error)));
      }),
    async close() {
      await Promise.all([...sockets.values()].map((socket) => closed(socket)));
    },
  };
}

function typeOf(address: string): SocketType {
  return isIpv6(address) ? "udp6" : "udp4";
}

async function open(address: string, port: number): Promise<Socket> {
  const socket = createSocket({ type: typeOf(address), ipv6Only: isIpv6(address) });
  await bind(socket, address, port);
  // Errors of single sends come back there; anything else here would end the daemon for no reason.
  socket.on("error", () => undefined);
  return socket;
}

function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.close(() => resolve()));
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
