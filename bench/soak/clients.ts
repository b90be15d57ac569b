/** Clients of every bad kind, and good ones among them. Each kind is done over and over until it is told to stop. */
import net from "node:net";
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { BAD_PATHS } from "./servers.ts";

export interface Tally {
  connections: number;
  /** Of good clients: answered with what they asked for, refused by the proxy, answered with something else. */
  answered: number;
  refused: number;
  wrong: number;
}

export interface Scene {
  readonly port: number;
  readonly tally: Tally;
  readonly stop: AbortSignal;
}

const request = (path: string, body = ""): string =>
  body === ""
    ? `GET ${path} HTTP/1.1\r\nHost: soak\r\n\r\n`
    : `PUT ${path} HTTP/1.1\r\nHost: soak\r\nContent-Length: ${body.length}\r\n\r\n${body}`;

function connect({ port, tally }: Scene): net.Socket {
  tally.connections += 1;
  const socket = net.connect({ host: "127.0.0.1", port, noDelay: true, allowHalfOpen: true });
  return socket.on("error", () => undefined);
}

/** Resolves with what came until `enough` says so, the end, the scene's end, or the time is over. */
async function receive(
  { stop }: Scene,
  socket: net.Socket,
  enough: (text: string) => boolean,
  waitMs: number,
): Promise<string> {
  let text = "";
  const over = new AbortController();
  socket.on("data", take).once("close", end).once("end", end);
  function end(): void {
    over.abort();
  }
  function take(bytes: Buffer): void {
    text += bytes.toString("latin1");
    if (enough(text)) end();
  }
  await sleep(waitMs, undefined, { signal: AbortSignal.any([stop, over.signal]) }).catch(() => undefined);
  socket.off("data", take).off("close", end).off("end", end);
  return text;
}

let turn = 0;

const PIPELINED_MAX = 12;

/** Writes and reads over one connection, some of them pipelined; every answer must be the one to its question. */
async function good(scene: Scene): Promise<void> {
  const socket = connect(scene);
  for (let asked = 0; asked < 50 && !scene.stop.aborted && !socket.destroyed; asked += 1) {
    const paths = Array.from({ length: 1 + (asked % PIPELINED_MAX) }, () => `/ok/${(turn += 1)}`);
    socket.write(paths.map((path) => request(path, asked % 2 === 0 ? "x" : "")).join(""));
    const ends = (text: string): boolean =>
      text.split("HTTP/1.1 ").length > paths.length && text.endsWith(paths.at(-1) ?? "");
    const text = await receive(scene, socket, ends, 5_000);
    const replies = text.split("HTTP/1.1 ").slice(1);
    for (const [index, path] of paths.entries()) {
      const reply = replies[index];
      if (reply === undefined || /^50[234] /.test(reply)) scene.tally.refused += 1;
      else if (reply.startsWith("200 ") && reply.endsWith(`\r\n\r\n${path}`)) scene.tally.answered += 1;
      else scene.tally.wrong += 1;
    }
    if (replies.length < paths.length) break;
  }
  socket.destroy();
}

/** Byte by byte; every other one gives up in the middle. */
async function slow(scene: Scene): Promise<void> {
  const socket = connect(scene);
  const text = request(`/ok/${(turn += 1)}`, "slow");
  const length = turn % 2 === 0 ? text.length : text.length / 2;
  for (let index = 0; index < length && !scene.stop.aborted; index += 1) {
    socket.write(text[index] ?? "");
    await sleep(2);
  }
  if (length === text.length) await receive(scene, socket, (got) => got !== "", 1_000);
  socket.destroy();
}

/** Asks for much and takes it late, or never. */
async function slowReader(scene: Scene): Promise<void> {
  const socket = connect(scene);
  socket.pause();
  socket.write(request("/huge/x"));
  await sleep(500, undefined, { signal: scene.stop }).catch(() => undefined);
  if ((turn += 1) % 2 === 0) {
    socket.resume();
    await receive(scene, socket, () => false, 500);
  }
  socket.destroy();
}

/** Connects and says nothing until the proxy has had enough. */
async function silent(scene: Scene): Promise<void> {
  const socket = connect(scene);
  await receive(scene, socket, () => false, 10_000);
  socket.destroy();
}

/** Its side is closed: behind a whole request, or in the middle of one. */
async function halfOpen(scene: Scene): Promise<void> {
  const socket = connect(scene);
  const text = request(`/ok/${(turn += 1)}`, "half");
  socket.end(turn % 2 === 0 ? text : text.slice(0, -2));
  await receive(scene, socket, () => false, 2_000);
  socket.destroy();
}

async function garbage(scene: Scene): Promise<void> {
  const socket = connect(scene);
  for (let count = 0; count < 8 && !socket.destroyed && !scene.stop.aborted; count += 1) {
    socket.write(randomBytes(16 * 1024));
    await sleep(2);
  }
  socket.destroy();
}

const STORM = 100;

/** Many at once; some ask, all reset their connection. */
async function storm(scene: Scene): Promise<void> {
  const sockets = Array.from({ length: STORM }, () => connect(scene));
  await sleep(20);
  for (const [index, socket] of sockets.entries()) if (index % 2 === 0) socket.write(request("/ok/storm"));
  await sleep(5);
  for (const socket of sockets) socket.resetAndDestroy();
  await sleep(100);
}

/** Heads and bodies that are large, and such as are too large. */
async function large(scene: Scene): Promise<void> {
  const socket = connect(scene);
  const kind = (turn += 1) % 3;
  if (kind === 0) socket.write(`GET / HTTP/1.1\r\nHost: soak\r\nX: ${"x".repeat(100_000)}\r\n\r\n`);
  if (kind === 1) socket.write("PUT / HTTP/1.1\r\nHost: soak\r\nContent-Length: 100000000\r\n\r\nx");
  if (kind === 2) socket.write(request(`/ok/${turn}`, "x".repeat(1_000_000)));
  await receive(scene, socket, (text) => text !== "", 2_000);
  socket.destroy();
}

/** Asks for what servers do badly, reads and writes. */
async function badServers(scene: Scene): Promise<void> {
  const socket = connect(scene);
  const path = BAD_PATHS[(turn += 1) % BAD_PATHS.length] ?? "";
  socket.write(request(`/${path}/${turn}`, turn % 3 === 0 ? "x" : ""));
  await receive(scene, socket, (text) => text.includes("\r\n\r\n"), 1_000);
  socket.destroy();
}

/** How many of each at a time. */
const CROWD: readonly (readonly [(scene: Scene) => Promise<void>, number])[] = [
  [good, 12],
  [slow, 8],
  [slowReader, 4],
  [silent, 20],
  [halfOpen, 4],
  [garbage, 2],
  [storm, 1],
  [large, 3],
  [badServers, 12],
];

/** Resolves when all have stopped. */
export async function runCrowd(scene: Scene): Promise<void> {
  const runs = CROWD.flatMap(([act, count]) =>
    Array.from({ length: count }, async () => {
      while (!scene.stop.aborted) await act(scene);
    }),
  );
  await Promise.all(runs);
}
