/**
 * Holds connections: opens as many as each line of standard input says in all, has one request answered on each, says
 * `held N`, and keeps them open until it is ended.
 *
 *     hold.js ADDRESS PORT
 */
import net from "node:net";
import { createInterface } from "node:readline";

const AT_A_TIME = 64;

async function open(host: string, port: number, number: number): Promise<net.Socket> {
  const socket = net.connect({ host, port, noDelay: true });
  await new Promise<void>((resolve, reject) => {
    socket.once("error", reject);
    socket.once("end", () => reject(new Error("the connection was ended instead of answered")));
    socket.once("data", () => resolve());
    socket.write(`GET /key${number} HTTP/1.1\r\nHost: bench\r\n\r\n`);
  });
  return socket;
}

async function main([host = "", port = ""]: readonly string[]): Promise<void> {
  const held: net.Socket[] = [];
  for await (const line of createInterface({ input: process.stdin })) {
    while (held.length < Number(line)) {
      const missing = Math.min(AT_A_TIME, Number(line) - held.length);
      const from = held.length;
      held.push(
        ...(await Promise.all(
          Array.from({ length: missing }, (_, index) => open(host, Number(port), from + index)),
        )),
      );
    }
    process.stdout.write(`held ${held.length}\n`);
  }
  for (const socket of held) socket.destroy();
}

await main(process.argv.slice(2));
