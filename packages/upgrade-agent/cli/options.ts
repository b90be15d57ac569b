/** Options that many commands share. */
import { AgentClient } from "../api/client.ts";

export const defaultSocket = "/run/version-manager/agent.sock";
export const defaultDirectories = {
  cacheDirectory: "/var/cache/version-manager/images",
  stateDirectory: "/var/lib/version-manager",
};
export const defaultFleetKey = "/etc/version-manager/fleet.key";

export const jsonOption = {
  json: { type: "boolean", default: false, describe: "Print one JSON value instead of text" },
} as const;

export const agentOptions = {
  ...jsonOption,
  socket: { type: "string", default: defaultSocket, describe: "The agent's unix socket" },
} as const;

export const keyOption = {
  key: { type: "string", default: defaultFleetKey, describe: "The fleet's private key" },
} as const;

export function agentAt(socket: string): AgentClient {
  return new AgentClient(socket);
}

/** Text for people, or one line of JSON. */
export function print(json: boolean, value: unknown, lines: () => readonly string[]): void {
  const text = json ? JSON.stringify(value) : lines().join("\n");
  process.stdout.write(`${text}\n`);
}
