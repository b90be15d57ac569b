/**
 * The program in a domain: serves and asks its peers on the same ports as every other version of it. Each payload
 * carries its sender's version, and each receiver compares it with its own. Started as an actor, `node resident.ts
 * VERSION`, see ../actor-handle.ts.
 */
import { createSocket } from "node:dgram";
import { connect, createServer } from "node:net";
import { TCP_PORT, UDP_PORT } from "./ports.ts";
import type { Socket as DatagramSocket } from "node:dgram";
import type { Socket } from "node:net";

const MESSAGE_BYTES = 8;
const DATAGRAM_BYTES = 64;
const KIND = { more: 0, last: 1, data: 2, heard: 3 } as const;
/** Exchanges of one connection, with pauses between them, so that it outlives something. */
const EXCHANGES = 4;
const PAUSE_MS_MAX = 900;
const PATIENCE_MS = 30_000;
/** Datagrams under way to one peer; half of them are acknowledged at a time. */
const WINDOW = 32;
const LOSS_MS = 1000;

export interface Figures {
  /** Connections that this end opened and that lived to their orderly end. */
  readonly connections: number;
  /** Connections that were refused, reset, or fell silent, with the reasons. */
  readonly lost: readonly string[];
  readonly messages: number;
  readonly datagramsSent: number;
  readonly datagramsArrived: number;
  /** Payloads of another version. */
  readonly foreign: number;
}

const version = Number(process.argv[2]);
const lost: string[] = [];
let connections = 0;
let messages = 0;
let datagramsSent = 0;
let datagramsArrived = 0;
let foreign = 0;

function checkVersion(sender: number | undefined): void {
  if (sender !== version) foreign += 1;
}

/** Calls back with each whole message of a stream. */
function onMessages(socket: Socket, take: (message: Buffer) => void): void {
  let rest: Buffer = Buffer.alloc(0);
  socket.on("data", (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk]);
    for (; rest.length >= MESSAGE_BYTES; rest = rest.subarray(MESSAGE_BYTES)) {
      const message = rest.subarray(0, MESSAGE_BYTES);
      messages += 1;
      checkVersion(message[0]);
      take(message);
    }
  });
}

async function serve(): Promise<void> {
  const server = createServer({ noDelay: true }, (socket) => {
    socket.on("error", () => socket.destroy());
    onMessages(socket, (message) => {
      const answer = Buffer.from(message);
      answer[0] = version;
      socket.write(answer);
      if (message[1] === KIND.last) socket.end();
    });
  });
  await new Promise<void>((resolve, reject) =>
    server.once("error", reject).listen(TCP_PORT, "0.0.0.0", resolve),
  );
  const socket = createSocket("udp4");
  socket.on("message", (datagram, from) => {
    checkVersion(datagram[0]);
    datagramsArrived += 1;
    if ((datagram.readUInt32BE(4) + 1) % (WINDOW / 2) !== 0) return;
    const answer = Buffer.from(datagram.subarray(0, MESSAGE_BYTES));
    answer[0] = version;
    answer[1] = KIND.heard;
    socket.send(answer, from.port, from.address);
  });
  await new Promise<void>((resolve, reject) => socket.once("error", reject).bind(UDP_PORT, resolve));
}

/** One connection from its SYN to its end; resolves with what went wrong, or undefined. */
function converse(peer: string, serial: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host: peer, port: TCP_PORT, noDelay: true });
    const message = Buffer.alloc(MESSAGE_BYTES);
    message[0] = version;
    message.writeUInt32BE(serial, 4);
    let exchanges = 0;
    const end = (problem: string | undefined): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(problem);
    };
    const timer = setTimeout(() => end(`silence after ${exchanges} exchanges`), PATIENCE_MS);
    // Every other time towards each of two peers: whoever closes first keeps the port for a minute.
    const isServersTurnToClose = serial % 4 < 2;
    const ask = (): void => {
      message[1] = exchanges === EXCHANGES - 1 && isServersTurnToClose ? KIND.last : KIND.more;
      message[2] = exchanges;
      if (!socket.destroyed) socket.write(message);
    };
    socket.on("connect", ask);
    onMessages(socket, (answer) => {
      if (!answer.subarray(2).equals(message.subarray(2))) return end("another connection's answer");
      exchanges += 1;
      if (exchanges < EXCHANGES) setTimeout(ask, Math.random() * PAUSE_MS_MAX);
      else if (!isServersTurnToClose) socket.end();
    });
    socket.on("error", (error) => end(`${error.message} after ${exchanges} exchanges`));
    socket.on("close", () =>
      end(exchanges === EXCHANGES ? undefined : `closed after ${exchanges} exchanges`),
    );
  });
}

/** So many connections to each peer in turn, `atOnce` of them at any moment. */
async function talk(peers: readonly string[], count: number, atOnce: number): Promise<void> {
  let serial = 0;
  const lane = async (): Promise<void> => {
    for (let mine = serial++; mine < count; mine = serial++) {
      const problem = await converse(peers[mine % peers.length] ?? "", mine);
      if (problem === undefined) connections += 1;
      else lost.push(problem);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
}

/** Sends so many datagrams, from a port of its own, no faster than the peer hears them. */
async function pour(peer: string, count: number): Promise<void> {
  const socket: DatagramSocket = createSocket("udp4");
  await new Promise<void>((resolve) => socket.bind(0, resolve));
  await new Promise<void>((resolve) => socket.connect(UDP_PORT, peer, resolve));
  let heardUpTo = -1;
  let wake = (): void => undefined;
  socket.on("error", () => undefined);
  socket.on("message", (answer) => {
    checkVersion(answer[0]);
    heardUpTo = Math.max(heardUpTo, answer.readUInt32BE(4));
    wake();
  });
  for (let next = 0; next < count;) {
    for (; next < count && next - heardUpTo <= WINDOW; next += 1) {
      const datagram = Buffer.alloc(DATAGRAM_BYTES, version);
      datagram[1] = KIND.data;
      datagram.writeUInt32BE(next, 4);
      socket.send(datagram);
      datagramsSent += 1;
    }
    const wasHeard = await new Promise<boolean>((resolve) => {
      const timer = setTimeout(() => resolve(false), LOSS_MS);
      wake = () => {
        clearTimeout(timer);
        resolve(true);
      };
    });
    if (!wasHeard) heardUpTo = next - 1;
  }
  socket.close();
}

const calls: Record<string, (...args: never[]) => Promise<unknown>> = {
  serve,
  talk,
  async pour(peers: readonly string[], countToEach: number) {
    await Promise.all(peers.map((peer) => pour(peer, countToEach)));
  },
  figures(): Promise<Figures> {
    return Promise.resolve({ connections, lost, messages, datagramsSent, datagramsArrived, foreign });
  },
};

process.on("message", ({ id, method, args }: { id: number; method: string; args: never[] }) => {
  calls[method]?.(...args).then(
    (result) => process.send?.({ id, result }),
    (error: unknown) => process.send?.({ id, error: String(error) }),
  );
});
process.on("disconnect", () => process.exit(0));
process.send?.({ id: 0 });
