/** Entry of the swarm's thread: obeys requests, reports progress. */
import { parentPort, workerData } from "node:worker_threads";
import { AgentError } from "../errors.ts";
import { Engine } from "./engine.ts";
import type { PlainError, Reply, Request, SwarmOptions } from "./messages.ts";

const port = parentPort;
if (port === null) throw new Error("swarm/worker runs as a worker thread only");
const options = workerData as SwarmOptions;
const reply = (message: Reply): void => port.postMessage(message);

try {
  serve(await Engine.start(options));
} catch (error) {
  reply({ type: "unable", error: plain(error) });
}

function serve(engine: Engine): void {
  let lastReport = "";
  const report = () => {
    const { downloads } = engine;
    const text = JSON.stringify(downloads);
    if (text === lastReport) return;
    lastReport = text;
    reply({ type: "progress", downloads });
  };
  const timer = setInterval(report, options.progressIntervalMs ?? 250);
  const obey = async ({ id, command }: Request) => {
    try {
      if (command.type === "close") clearInterval(timer);
      const result = await engine.obey(command);
      // Before the answer, so that whoever waited for it finds the progress up to date.
      report();
      reply({ type: "done", id, result });
    } catch (error) {
      report();
      reply({ type: "failed", id, error: plain(error) });
    }
  };
  port?.on("message", (request: Request) => void obey(request));
  reply({ type: "ready", port: engine.port });
}

function plain(error: unknown): PlainError {
  if (error instanceof AgentError) return { code: error.code, message: error.message };
  const message = error instanceof Error ? error.message : String(error);
  return { code: "E_INTERNAL", message: `The swarm failed: ${message}.` };
}
