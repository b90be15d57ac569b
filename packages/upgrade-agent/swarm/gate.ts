/**
 * Who may be a peer. webtorrent listens on every address, connects from any, and blocks only some of what comes in; a
 * node has one service address and one list of fleet members. So inside the swarm's thread, whose `node:net` is shared
 * with nobody else, sockets are made here.
 */
import net from "node:net";

export interface Gate {
  isAllowed(address: string | undefined): boolean;
  /** Connections of addresses that are no longer allowed are cut. */
  setAllowed(addresses: readonly string[]): void;
}

/** Call once, in a thread of its own, before webtorrent is used. */
export function installGate(host: string): Gate {
  const allowed = new Set<string>();
  const sockets = new Set<net.Socket>();
  const isAllowed = (address: string | undefined) =>
    address !== undefined && allowed.has(plainAddress(address));
  const track = (socket: net.Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  };

  class GuardedServer extends net.Server {
    override emit(event: string, ...rest: unknown[]): boolean {
      const [socket] = rest;
      if (event !== "connection" || !(socket instanceof net.Socket)) return super.emit(event, ...rest);
      if (isAllowed(socket.remoteAddress)) {
        track(socket);
        return super.emit(event, socket);
      }
      socket.resetAndDestroy();
      return true;
    }
    override listen(...parameters: unknown[]): this {
      const [port, onListening] = parameters as [number, () => void];
      return super.listen({ port, host }, onListening);
    }
  }

  const connect = (target: net.TcpNetConnectOpts): net.Socket => {
    const socket = new net.Socket();
    if (isAllowed(target.host)) {
      track(socket);
      return socket.connect({ ...target, localAddress: host });
    }
    return socket.destroy(new Error(`${target.host} is not a peer of this fleet`));
  };
  Object.assign(net, { createServer: () => new GuardedServer(), connect });

  return {
    isAllowed,
    setAllowed: (addresses) => {
      allowed.clear();
      for (const address of addresses) allowed.add(plainAddress(address));
      for (const socket of sockets) {
        if (socket.remoteAddress !== undefined && !isAllowed(socket.remoteAddress)) socket.resetAndDestroy();
      }
    },
  };
}

function plainAddress(address: string): string {
  return address.startsWith("::ffff:") ? address.slice("::ffff:".length) : address;
}
