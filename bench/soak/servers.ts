/** Servers of a version, as bad as the path that they are asked for says. */
import http from "node:http";
import net from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

const HUGE_BYTES = 4 * 1024 * 1024;
/** More than the framing takes. */
const TOO_LARGE_BYTES = 20 * 1024 * 1024;
const HEAD_TOO_LARGE_BYTES = 100 * 1024;

type Behaviour = (response: http.ServerResponse, path: string) => void | Promise<void>;

const BEHAVIOURS: Readonly<Record<string, Behaviour>> = {
  ok: (response, path) => void response.end(path),
  slow: async (response, path) => {
    response.setHeader("Content-Length", path.length);
    for (const character of path) {
      if (response.destroyed) return;
      response.write(character);
      await sleep(2);
    }
    response.end();
  },
  /** Takes the request and never answers. */
  stuck: () => undefined,
  reset: (response) => void response.socket?.resetAndDestroy(),
  half: (response) => {
    response.writeHead(200, { "Content-Length": 1000 });
    response.write("half", () => response.socket?.end());
  },
  garbage: (response) => void response.socket?.end(Buffer.alloc(10_000, "\u0000garbage")),
  unasked: (response, path) => {
    response.end(path);
    response.socket?.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  },
  huge: (response) => void response.end(Buffer.alloc(HUGE_BYTES, "x")),
  toolarge: (response) => void response.end(Buffer.alloc(TOO_LARGE_BYTES, "x")),
  hugehead: (response) => {
    response.socket?.write(`HTTP/1.1 200 OK\r\nX: ${"x".repeat(HEAD_TOO_LARGE_BYTES)}\r\n\r\n`);
  },
};

export const BAD_PATHS: readonly string[] = Object.keys(BEHAVIOURS).filter((name) => name !== "ok");

export interface Version {
  readonly address: string;
  close(): void;
}

export async function startVersion(): Promise<Version> {
  const server = http.createServer({ requestTimeout: 0, keepAliveTimeout: 60_000 }, (request, response) => {
    request.on("error", () => undefined);
    response.on("error", () => undefined);
    // Not before the request is here: a reply may not overtake it.
    request.resume().on("end", () => {
      const path = request.url ?? "";
      void BEHAVIOURS[path.split("/")[1] ?? ""]?.(response, path);
    });
  });
  server.on("clientError", (_, socket) => socket.destroy());
  await new Promise<void>((resolve) => server.listen({ host: "127.0.0.1", port: 0, backlog: 4096 }, resolve));
  const { port } = server.address() as net.AddressInfo;
  return {
    address: `127.0.0.1:${port}`,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}
