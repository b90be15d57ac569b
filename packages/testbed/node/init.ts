/**
 * The first program of a node, below tini: makes the node's view of the machine, then stands in for systemd. It is the
 * composition root of a node; its only argument is the file that `up` wrote for it.
 */
import { mkdirSync, readFileSync } from "node:fs";
import { initSchema } from "./contract.ts";
import type { ControlAnswer, ControlRequest } from "./contract.ts";
import { serveControl } from "./control.ts";
import { mountNode } from "./mounts.ts";
import { proxyProcesses } from "./proxies.ts";
import { Service } from "./service.ts";

const config = initSchema.parse(JSON.parse(readFileSync(process.argv[2] ?? "", "utf8")));
mountNode(config);
process.env["PATH"] = config.path;
mkdirSync(config.logDirectory, { recursive: true });

const services = config.services.map((service) => new Service(service, config.logDirectory));

function serviceCalled(name: string): Service {
  const service = services.find((candidate) => candidate.name === name);
  if (service === undefined) throw new Error(`this node has no service ${name}`);
  return service;
}

function kill(what: string, signal: NodeJS.Signals): number[] {
  if (what !== "proxy") return [serviceCalled(what).kill(signal)].filter((pid) => pid !== undefined);
  const killed = proxyProcesses(services.map((service) => service.pid).filter((pid) => pid !== undefined));
  for (const pid of killed) process.kill(pid, signal);
  return killed;
}

async function answer(request: ControlRequest): Promise<ControlAnswer> {
  if (request.command === "kill")
    return { ok: true, killed: kill(request.what, request.signal as NodeJS.Signals) };
  if (request.command === "hold") serviceCalled(request.service).hold(request.held);
  return { ok: true, services: await Promise.all(services.map((service) => service.status())) };
}

for (const service of services) service.start();
await serveControl(config.controlSocket, answer);
