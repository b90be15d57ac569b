/** An SSH server on loopback for tests: runs every command by /bin/sh on this machine, as dropbear does in a domain. */
import { spawn } from "node:child_process";
import { createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import ssh2 from "ssh2";

export interface TestServer {
  readonly port: number;
  /** Connections accepted so far. */
  connections: number;
  /** So many of the next commands are refused. */
  refuse: number;
  /** Cuts every connection without a word. */
  cut(): void;
  close(): Promise<void>;
}

export async function startServer(options: { authorizedKey: string; port?: number }): Promise<TestServer> {
  const allowed = ssh2.utils.parseKey(options.authorizedKey);
  if (allowed instanceof Error) throw allowed;
  const sockets = new Set<Socket>();
  const server = new ssh2.Server(
    { hostKeys: [ssh2.utils.generateKeyPairSync("ed25519").private] },
    (client) => {
      client.on("error", () => {});
      client.on("authentication", (context) => {
        if (context.method !== "publickey" || !context.key.data.equals(allowed.getPublicSSH()))
          return context.reject();
        const { signature, blob } = context;
        if (signature === undefined || blob === undefined) return context.accept();
        return allowed.verify(blob, signature, context.hashAlgo) ? context.accept() : context.reject();
      });
      client.on("session", (accept) => {
        const session = accept();
        session.on("exec", (acceptExec, rejectExec, { command }) => {
          if (running.refuse > 0) {
            running.refuse -= 1;
            return rejectExec();
          }
          const channel = acceptExec();
          const child = spawn("/bin/sh", ["-c", command], { stdio: "pipe" });
          session.on("signal", (_accept, _rejectSignal, { name }) =>
            child.kill(`SIG${name}` as NodeJS.Signals),
          );
          channel.pipe(child.stdin);
          child.stdin.on("error", () => {});
          channel.on("error", () => {});
          child.stdout.on("data", (chunk: Buffer) => channel.write(chunk));
          child.stderr.on("data", (chunk: Buffer) => channel.stderr.write(chunk));
          child.once("close", (code, signal) => {
            if (code !== null) channel.exit(code);
            else channel.exit((signal ?? "SIGTERM").slice(3));
            channel.close();
          });
        });
      });
    },
  );
  const listener = createServer((socket) => {
    running.connections += 1;
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    server.injectSocket(socket);
  });
  await new Promise<void>((resolve) => listener.listen(options.port ?? 0, "127.0.0.1", resolve));
  const running: TestServer = {
    port: (listener.address() as AddressInfo).port,
    connections: 0,
    refuse: 0,
    cut: () => {
      for (const socket of sockets) socket.destroy();
    },
    close: () => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => listener.close(() => resolve()));
    },
  };
  return running;
}
