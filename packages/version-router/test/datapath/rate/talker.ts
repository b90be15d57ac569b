/**
 * A process in a network namespace, of the tests of rates and the hypervisors' compliance suite: sends as fast as it can, and counts what arrives. Started as
 * an actor, see ../actor-handle.ts.
 */
import { createSocket } from "node:dgram";
import { connect, createServer } from "node:net";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Socket } from "node:net";
import { ACTION, testRun } from "../test-run.ts";

/** Datagrams that are handed to the kernel before anything else gets a turn. */
const BATCH = 16;
const CHUNK = Buffer.alloc(65_536, "x");

const DATAGRAM_BYTES = 1400;

let received = 0;
let flooding = new AbortController();

/** Writes until it is over, however slowly it is taken. */
function pour(socket: Socket, untilMs: number): void {
  const more = (): void => {
    while (performance.now() < untilMs && !socket.destroyed) if (!socket.write(CHUNK)) return;
    socket.destroy();
  };
  socket.on("drain", more).on("error", () => socket.destroy());
  more();
  setTimeout(() => socket.destroy(), untilMs - performance.now());
}

function take(socket: Socket): void {
  socket.on("data", (data) => (received += data.length)).on("error", () => socket.destroy());
}

const listening = (server: ReturnType<typeof createServer>, port: number): Promise<void> =>
  new Promise((resolve, reject) => server.once("error", reject).listen(port, "0.0.0.0", resolve));

const calls: Record<string, (...args: never[]) => unknown> = {
  /** Takes streams and datagrams at `port`; gives streams at the next one, for so long. */
  async serve(port: number, ms: number) {
    await listening(createServer(take), port);
    await listening(
      createServer((socket) => pour(socket, performance.now() + ms)),
      port + 1,
    );
    const socket = createSocket("udp4").on("message", (payload) => (received += payload.length));
    await new Promise<void>((resolve) => socket.bind(port, resolve));
  },
  /** Bytes of layer 4's payload since it was asked last. */
  received() {
    const bytes = received;
    received = 0;
    return bytes;
  },
  /** Streams to whoever takes them there. */
  async sendTcp(host: string, port: number, ms: number) {
    const socket = connect({ host, port });
    await new Promise<void>((resolve, reject) => socket.once("error", reject).once("connect", resolve));
    const closed = new Promise((resolve) => socket.once("close", resolve));
    pour(socket, performance.now() + ms);
    await closed;
  },
  /** Takes a stream; it ends when whoever gives it does, or a little later. */
  async takeTcp(host: string, port: number, ms: number) {
    const socket = connect({ host, port });
    await new Promise<void>((resolve, reject) => socket.once("error", reject).once("connect", resolve));
    take(socket);
    const late = setTimeout(() => socket.destroy(), ms * 1.5);
    await new Promise((resolve) => socket.once("close", resolve));
    clearTimeout(late);
  },
  /** Datagrams until `stop`, or for so long. */
  async flood(host: string, port: number, ms: number) {
    const socket = createSocket("udp4");
    await new Promise<void>((resolve) => socket.connect(port, host, resolve));
    const untilMs = performance.now() + ms;
    flooding = new AbortController();
    const { signal } = flooding;
    while (performance.now() < untilMs && !signal.aborted) {
      // What a full queue refuses is as good as lost.
      const send = () => new Promise((resolve) => socket.send(CHUNK.subarray(0, DATAGRAM_BYTES), resolve));
      await Promise.all(Array.from({ length: BATCH }, send));
      // `stop` wants a turn, too.
      await nextTurn();
    }
    socket.close();
  },
  /** Of this process, where it is. */
  pid() {
    return process.pid;
  },
  stop() {
    flooding.abort();
  },
  /** Hands the same frame to a program again and again; how often it was not dropped. */
  hammer(pin: string, frame: Uint8Array, ifindex: number, times: number) {
    let passed = 0;
    for (let run = 0; run < times; run += 1)
      if (testRun(pin, frame, ifindex).action !== ACTION.drop) passed += 1;
    return passed;
  },
};

process.on("message", ({ id, method, args }: { id: number; method: string; args: never[] }) => {
  Promise.resolve()
    .then(() => calls[method]?.(...args))
    .then(
      (result) => process.send?.({ id, result }),
      (error: Error) => process.send?.({ id, error: error.message }),
    );
});
process.on("disconnect", () => process.exit(0));
process.send?.({ id: 0 });
