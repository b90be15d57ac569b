/**
 * What the agent writes down of a running proxy, so that the next agent finds it: `proxy-SERVICE.json` beside the
 * control socket, owned by the agent's user. The process itself is not asked: what runs in it is the application's.
 */
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import type { ProcessIdentity } from "./process-identity.ts";

/** Agents that knew TCP only wrote the number alone. */
const portSchema = z
  .union([z.templateLiteral([z.enum(["tcp", "udp"]), "/", z.int()]), z.int().min(1).max(65_535)])
  .transform((port) => (typeof port === "number" ? (`tcp/${port}` as const) : port));

const recordSchema = z.strictObject({
  pid: z.int().min(2),
  startTime: z.string(),
  modulePath: z.string(),
  address: z.string(),
  /** Client ports and their descriptors in the process. */
  listeners: z.array(z.strictObject({ port: portSchema, fd: z.int().min(3) })),
});

export type ProxyRecord = Readonly<z.infer<typeof recordSchema>> & ProcessIdentity;

export function controlPath(runDirectory: string, service: string): string {
  return join(runDirectory, `proxy-${service}.sock`);
}

function recordPath(runDirectory: string, service: string): string {
  return join(runDirectory, `proxy-${service}.json`);
}

export function readRecord(runDirectory: string, service: string): ProxyRecord | undefined {
  try {
    return recordSchema.parse(JSON.parse(readFileSync(recordPath(runDirectory, service), "utf8")));
  } catch {
    // None, or cut off in the middle of an older agent's life: the same as none.
    return undefined;
  }
}

export function writeRecord(runDirectory: string, service: string, record: ProxyRecord): void {
  const path = recordPath(runDirectory, service);
  writeFileSync(`${path}.new`, `${JSON.stringify(record)}\n`, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

export function removeRecord(runDirectory: string, service: string): void {
  rmSync(recordPath(runDirectory, service), { force: true });
  rmSync(controlPath(runDirectory, service), { force: true });
}
