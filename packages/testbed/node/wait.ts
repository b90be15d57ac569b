/** Waits until all services of a node are ready, and says why when they do not become so. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { TestbedError } from "../errors.ts";
import type { NodeLayout } from "../layout.ts";
import type { ServiceStatus } from "./contract.ts";
import { ask } from "./control.ts";
import { nodeProcess } from "./launch.ts";

/** A node whose first process has not shown up by then has failed, ms. */
const LAUNCH_TIMEOUT_MS = 10_000;

/** The end of a log goes into the error, because the log itself is removed with the testbed; characters. */
const TAIL_LENGTH = 1_500;

function tail(path: string): string {
  return existsSync(path) ? readFileSync(path, "utf8").slice(-TAIL_LENGTH).trim() : "";
}

async function servicesOf(node: NodeLayout): Promise<readonly ServiceStatus[] | undefined> {
  if (!existsSync(node.controlSocket)) return undefined;
  const answer = await ask(node.controlSocket, { command: "status" }).catch(() => undefined);
  return answer !== undefined && "services" in answer ? answer.services : undefined;
}

/** Throws E_TESTBED_NODE with the last words of what is missing; rejects with the signal's reason when aborted. */
export async function waitForNode(node: NodeLayout, timeoutMs: number, signal?: AbortSignal): Promise<void> {
  const startedAtMs = Date.now();
  let missing: string[] = [];
  for (;;) {
    const lookedAt = performance.now();
    const services = await servicesOf(node);
    missing = services?.filter((service) => !service.ready).map((service) => service.name) ?? ["init"];
    if (missing.length === 0) return;
    const elapsedMs = Date.now() - startedAtMs;
    const dead = elapsedMs > LAUNCH_TIMEOUT_MS && (await nodeProcess(node)) === undefined;
    if (dead || elapsedMs > timeoutMs) break;
    signal?.throwIfAborted();
    // Where looking takes long, as on an emulated machine, it must not be most of what the machine does.
    await sleep(Math.max(100, 4 * (performance.now() - lookedAt)));
  }
  const logs = missing.map((name) =>
    name === "init"
      ? join(node.directory, "init.log")
      : join(node.directory, "var/log/version-manager", `${name}.log`),
  );
  const words = logs.map((log) => tail(log)).filter((text) => text !== "");
  const message = `Node ${node.name} is not ready: ${missing.join(", ")} did not answer. ${words.join("\n")}`;
  throw new TestbedError("E_TESTBED_NODE", message.trim());
}
