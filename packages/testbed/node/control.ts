/** The control socket of a node: one JSON request per line, one JSON answer per line. Both ends live here. */
import { chmodSync, rmSync } from "node:fs";
import { connect, createServer } from "node:net";
import type { Server, Socket } from "node:net";
import { createInterface } from "node:readline";
import { requestSchema } from "./contract.ts";
import type { ControlAnswer, ControlRequest } from "./contract.ts";
import { TestbedError } from "../errors.ts";

export function serveControl(
  path: string,
  answer: (request: ControlRequest) => Promise<ControlAnswer>,
): Promise<Server> {
  const server = createServer((socket: Socket) => {
    socket.on("error", () => socket.destroy());
    createInterface({ input: socket }).on("line", (line) => {
      void reply(line, answer).then((text) => socket.end(`${text}\n`));
    });
  });
  rmSync(path, { force: true });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(path, () => {
      chmodSync(path, 0o600);
      resolve(server);
    });
  });
}

async function reply(
  line: string,
  answer: (request: ControlRequest) => Promise<ControlAnswer>,
): Promise<string> {
  try {
    return JSON.stringify(await answer(requestSchema.parse(JSON.parse(line))));
  } catch (error) {
    return JSON.stringify({ ok: false, message: String(error) } satisfies ControlAnswer);
  }
}

/** Asks a node's init. Throws E_TESTBED_NODE when nobody answers or the answer is no. */
export async function ask(
  path: string,
  request: ControlRequest,
): Promise<Extract<ControlAnswer, { ok: true }>> {
  const text = await new Promise<string>((resolve, reject) => {
    const socket = connect(path);
    let received = "";
    socket.setTimeout(20_000, () => socket.destroy(new Error("no answer within 20 s")));
    socket.once("connect", () => socket.write(`${JSON.stringify(request)}\n`));
    socket.on("data", (chunk) => (received += chunk.toString("utf8")));
    socket.once("error", reject);
    socket.once("end", () => resolve(received));
  }).catch((error: unknown) => {
    throw new TestbedError(
      "E_TESTBED_NODE",
      `The node behind ${path} does not answer: ${String(error)}.`,
      error,
    );
  });
  const answer = JSON.parse(text) as ControlAnswer;
  if (!answer.ok) throw new TestbedError("E_TESTBED_NODE", `The node refused: ${answer.message}`);
  return answer;
}
