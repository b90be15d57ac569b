/** What `up` tells a node's init (one JSON file), and what the init answers on its control socket (JSON lines). */
import * as z from "zod";

const serviceSchema = z.strictObject({
  name: z.string(),
  command: z.array(z.string()).min(1),
  /** Unix socket that accepts connections once the service is ready; without one it is when it has run a moment. */
  readySocket: z.string().optional(),
});

export const initSchema = z.strictObject({
  node: z.string(),
  /** Below it lie the private directories. */
  directory: z.string(),
  privateDirectories: z.array(z.string()),
  controlSocket: z.string(),
  /** The host has only cgroup v2. */
  unifiedControlGroups: z.boolean(),
  /** The machine is Xen's first domain. */
  underXen: z.boolean(),
  logDirectory: z.string(),
  hosts: z.string(),
  path: z.string(),
  services: z.array(serviceSchema),
});

export type InitConfig = z.infer<typeof initSchema>;
export type ServiceConfig = z.infer<typeof serviceSchema>;

/** What can be killed on a node; `proxy` is every application proxy of the agent. */
export type KillTarget = "agent" | "router" | "libvirtd" | "proxy";

export const requestSchema = z.discriminatedUnion("command", [
  z.strictObject({ command: z.literal("status") }),
  z.strictObject({ command: z.literal("kill"), what: z.string(), signal: z.string() }),
  z.strictObject({ command: z.literal("hold"), service: z.string(), held: z.boolean() }),
]);

export type ControlRequest = z.infer<typeof requestSchema>;

export interface ServiceStatus {
  readonly name: string;
  /** `waiting` before a restart, `held` while it is kept down on purpose. */
  readonly state: "running" | "waiting" | "held";
  /** Its socket accepts connections, or, without a socket, it has run for a moment. */
  readonly ready: boolean;
  /** In the node's own PID namespace; absent while it does not run. */
  readonly pid?: number;
  readonly restarts: number;
  /** Exit status or signal of the last run. */
  readonly lastExit?: string;
}

export type ControlAnswer =
  | { readonly ok: true; readonly services: readonly ServiceStatus[] }
  | { readonly ok: true; readonly killed: readonly number[] }
  | { readonly ok: false; readonly message: string };
