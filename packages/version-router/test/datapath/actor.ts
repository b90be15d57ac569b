/**
 * A process in a network namespace that does what the test asks over Node's IPC: opens sockets, or runs a data path.
 * Started by lab.ts as `nsenter --net=… node actor.ts`.
 */
import { createHash } from "node:crypto";
import { createSocket } from "node:dgram";
import { createServer, connect } from "node:net";
import { createKernelDataPath } from "../../datapath/kernel/index.ts";
import { createRelayDataPath } from "../../datapath/relay/index.ts";
import { testRun } from "./test-run.ts";
import type { Socket } from "node:net";
import type { DataPath, DataPathConfig } from "../../datapath/datapath.ts";

const ANSWER_TIMEOUT_MS = 4000;
/** Said to an echo server, which then is the first to close. */
const LAST_WORDS = "bye";

const sockets = new Map<number, { socket: Socket; received: string }>();
let nextId = 1;
let dataPath: DataPath | undefined;

function sha(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Repeated bytes that are cheap to make and differ from place to place. */
function pattern(bytes: number): Buffer {
  const buffer = Buffer.alloc(bytes);
  for (let at = 0; at < bytes; at += 1) buffer[at] = (at * 7 + (at >>> 8) * 13) & 0xff;
  return buffer;
}

function typeFor(host: string): "udp4" | "udp6" {
  return host.includes(":") ? "udp6" : "udp4";
}

function answerHash(socket: Socket): void {
  const hash = createHash("sha256");
  socket.on("data", (chunk) => hash.update(chunk));
  socket.on("end", () => socket.end(`${hash.digest("hex")}\n`));
}

function waitFor(id: number, wanted: (text: string) => boolean): Promise<string> {
  return new Promise((resolve, reject) => {
    const entry = sockets.get(id);
    if (entry === undefined) return reject(new Error(`no socket ${id}`));
    const done = (error: Error | undefined): void => {
      clearTimeout(timer);
      entry.socket.off("data", check).off("error", done).off("close", closed);
      if (error === undefined) resolve(entry.received);
      else reject(error);
    };
    const closed = (): void => done(new Error("ECLOSED"));
    const check = (): void => {
      if (wanted(entry.received)) done(undefined);
    };
    const timer = setTimeout(() => done(new Error("ETIMEDOUT")), ANSWER_TIMEOUT_MS);
    entry.socket.on("data", check).on("error", done).on("close", closed);
    check();
  });
}

const calls: Record<string, (...args: never[]) => unknown> = {
  /**
   * Greets with its name and the peer's address and port, then echoes, after `delayMs`, and ends the connection when
   * told so by `LAST_WORDS`; with `hash`, answers a stream's hash at its end.
   */
  async tcpServe(port: number, name: string, mode: "echo" | "hash" = "echo", delayMs = 0, host = "0.0.0.0") {
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      socket.on("error", () => socket.destroy());
      if (mode === "hash") return answerHash(socket);
      socket.write(`${name} ${socket.remoteAddress}:${socket.remotePort}\n`);
      socket.on("data", (data) => {
        if (data.toString() === LAST_WORDS) socket.end();
        else void setTimeout(() => socket.write(data), delayMs);
      });
      socket.on("end", () => socket.end());
    });
    await new Promise<void>((resolve, reject) =>
      server.once("error", reject).listen({ port, host, ipv6Only: host === "::" }, resolve),
    );
  },
  /** Accepts and reads nothing for so long, then answers each stream's hash at its end. */
  async tcpServeLate(port: number, delayMs: number) {
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
      socket.on("error", () => socket.destroy());
      answerHash(socket);
      void setTimeout(() => socket.resume(), delayMs);
    });
    await new Promise<void>((resolve) => server.listen(port, "0.0.0.0", () => resolve()));
  },
  /**
   * Writes so many bytes to such a server. How many its own kernel had taken after `waitMs`, and whether the hash that
   * comes back at last is right.
   */
  async tcpLate(host: string, port: number, bytes: number, waitMs: number) {
    const payload = pattern(bytes);
    const socket = connect({ host, port, allowHalfOpen: true });
    let answer = "";
    socket.setEncoding("utf8").on("data", (text: string) => (answer += text));
    const ended = new Promise<void>((resolve, reject) =>
      socket.once("error", reject).once("end", () => resolve()),
    );
    let taken = 0;
    const writing = (async () => {
      for (let at = 0; at < bytes; at += 65_536) {
        const chunk = payload.subarray(at, at + 65_536);
        await new Promise<void>((resolve) => socket.write(chunk, () => resolve()));
        taken += chunk.length;
      }
      socket.end();
    })();
    await new Promise((resolve) => setTimeout(resolve, waitMs));
    const takenEarly = taken;
    await Promise.all([writing, ended]);
    return { taken: takenEarly, intact: answer.trim() === sha(payload) };
  },
  /** The greeting of whoever answered, and a handle. */
  async tcpConnect(host: string, port: number, localPort?: number) {
    const id = nextId++;
    const socket = connect({ host, port, ...(localPort === undefined ? {} : { localPort }) });
    const entry = { socket, received: "" };
    sockets.set(id, entry);
    socket.setEncoding("utf8").on("data", (text: string) => (entry.received += text));
    socket.on("error", () => socket.destroy());
    const greeting = await waitFor(id, (text) => text.includes("\n"));
    entry.received = "";
    return { id, greeting: greeting.trim(), local: `${socket.localAddress}:${socket.localPort}` };
  },
  /** A handle before anybody has said anything. */
  async tcpOpen(host: string, port: number) {
    const id = nextId++;
    const socket = connect({ host, port });
    const entry = { socket, received: "" };
    sockets.set(id, entry);
    socket.setEncoding("latin1").on("data", (text: string) => (entry.received += text));
    await new Promise<void>((resolve, reject) =>
      socket.once("error", reject).once("connect", () => resolve()),
    );
    socket.on("error", () => socket.destroy());
    return { id };
  },
  /** Writes bytes one by one, each in a segment of its own; then waits until what came ends with a line like `wanted`. */
  async tcpBytes(id: number, hex: string, wanted: string) {
    const entry = sockets.get(id);
    if (entry === undefined) throw new Error("no socket");
    entry.socket.setNoDelay(true);
    for (const byte of Buffer.from(hex, "hex")) {
      entry.socket.write(Uint8Array.of(byte));
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    return waitFor(id, (text) => text.includes(wanted) && text.endsWith("\n"));
  },
  /** Resolves when the other end has closed or reset the connection. */
  async tcpGone(id: number) {
    const socket = sockets.get(id)?.socket;
    if (socket === undefined || socket.destroyed) return;
    await new Promise<void>((resolve) => socket.once("close", () => resolve()));
  },
  async tcpEcho(id: number, text: string) {
    const entry = sockets.get(id);
    if (entry === undefined) throw new Error("no socket");
    entry.received = "";
    entry.socket.write(text);
    return waitFor(id, (received) => received.length >= text.length);
  },
  /** Lets the echo server close first: it has the TIME_WAIT then, and this end's port is free at once. */
  async tcpDismissed(id: number) {
    const socket = sockets.get(id)?.socket;
    if (socket === undefined) throw new Error("no socket");
    await new Promise<void>((resolve) => socket.once("close", () => resolve()).write(LAST_WORDS));
  },
  async tcpClose(id: number) {
    const socket = sockets.get(id)?.socket;
    if (socket === undefined || socket.destroyed) return;
    await new Promise<void>((resolve) => socket.once("close", () => resolve()).end());
  },
  /** Sends so many bytes to a `hash` server; true when the hash that comes back is right. */
  async tcpBulk(host: string, port: number, bytes: number) {
    const chunk = pattern(Math.min(bytes, 1 << 20));
    const hash = createHash("sha256");
    const socket = connect({ host, port, allowHalfOpen: true });
    let answer = "";
    socket.setEncoding("utf8").on("data", (text: string) => (answer += text));
    const closed = new Promise<void>((resolve, reject) =>
      socket.once("error", reject).once("end", () => resolve()),
    );
    for (let left = bytes; left > 0; left -= chunk.length) {
      const part = chunk.subarray(0, Math.min(left, chunk.length));
      hash.update(part);
      if (!socket.write(part)) await new Promise((resolve) => socket.once("drain", resolve));
    }
    socket.end();
    await closed;
    return answer.trim() === hash.digest("hex");
  },
  /** Answers every datagram with its name, the sender's address and the payload's hash. */
  async udpServe(port: number, name: string, type: "udp4" | "udp6" = "udp4", delayMs = 0) {
    const socket = createSocket({ type, ipv6Only: type === "udp6" });
    socket.on("message", (payload, from) => {
      const answer = `${name} ${from.address}:${from.port} ${payload.length} ${sha(payload)}`;
      setTimeout(() => socket.send(answer, from.port, from.address), delayMs);
    });
    await new Promise<void>((resolve, reject) => socket.once("error", reject).bind(port, resolve));
  },
  /** The answer to a datagram of so many bytes, or "" when none came in time. Checks the hash. */
  async udpAsk(host: string, port: number, bytes: number, localPort = 0, timeoutMs = 1000) {
    const payload = pattern(bytes);
    const socket = createSocket(typeFor(host));
    await new Promise<void>((resolve) => socket.bind(localPort, resolve));
    const answer = await new Promise<string>((resolve) => {
      const timer = setTimeout(() => resolve(""), timeoutMs);
      socket.on("message", (text) => {
        clearTimeout(timer);
        resolve(text.toString());
      });
      socket.send(payload, port, host, (error) => error !== null && resolve(String(error)));
    });
    socket.close();
    const [name = "", from = "", length = "", hash = ""] = answer.split(" ");
    return answer === ""
      ? ""
      : `${name} ${from} ${length === `${bytes}` && hash === sha(payload) ? "intact" : "DAMAGED"}`;
  },
  /** Sends one datagram, perhaps from an address that is not the node's. */
  async udpSend(host: string, port: number, hex: string, from: string, localPort = 0) {
    const socket = createSocket(typeFor(host));
    await new Promise<void>((resolve) => socket.bind(localPort, from, resolve));
    await new Promise((resolve) => socket.send(Buffer.from(hex, "hex"), port, host, resolve));
    socket.close();
  },
  testRun(pin: string, frame: Buffer, ifindex: number, gsoSize?: number) {
    return testRun(pin, frame, ifindex, gsoSize);
  },
  async open(config: DataPathConfig, kind: DataPath["kind"]) {
    const stateFile = `${config.pinDirectory}.json`;
    dataPath =
      kind === "kernel" ? createKernelDataPath(config) : createRelayDataPath({ ...config, stateFile });
    await dataPath.open();
  },
  async dataPath(method: keyof DataPath, ...args: unknown[]) {
    if (dataPath === undefined) throw new Error("no data path");
    return (dataPath[method] as (...args: unknown[]) => Promise<unknown>)(...args);
  },
};

process.on("message", ({ id, method, args }: { id: number; method: string; args: never[] }) => {
  Promise.resolve()
    .then(() => calls[method]?.(...args))
    .then(
      (result) => process.send?.({ id, result }),
      (error: Error & { code?: string }) => process.send?.({ id, error: error.message, code: error.code }),
    );
});
process.on("disconnect", () => process.exit(0));
process.on("uncaughtException", (error) => process.stderr.write(`actor: ${error.stack}\n`));
process.send?.({ id: 0 });
