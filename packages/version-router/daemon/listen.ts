/** Where the daemon's HTTP servers listen: a unix socket that only its owner may use, and the domains' gateway. */
import { chmod, lstat, mkdir, unlink } from "node:fs/promises";
import type { Server } from "node:http";
import { connect } from "node:net";
import type { ListenOptions } from "node:net";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { RouterError } from "../errors.ts";

const GATEWAY_RETRY_MS = 500;

/** Makes the directory and removes a socket that a killed daemon left. Throws E_BAD_REQUEST when a daemon answers there. */
export async function claimSocketPath(path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true }).catch((cause: unknown) => {
    throw cannotUse(path, cause);
  });
  const answer = await knock(path);
  if (answer === "answers")
    throw new RouterError("E_BAD_REQUEST", `Another router answers at ${path}; stop it first.`);
  if (answer === "stale") {
    if (!(await lstat(path)).isSocket())
      throw new RouterError("E_BAD_REQUEST", `${path} is no socket; move it or configure another.`);
    await unlink(path);
  }
}

/** Listens with mode 0600. The path must have been claimed. */
export async function listenUnix(server: Server, path: string): Promise<void> {
  // The socket is bound before `listen` returns, so nobody ever finds it with another mode.
  const umask = process.umask(0o177);
  const listening = listen(server, { path });
  process.umask(umask);
  await listening;
  await chmod(path, 0o600);
}

/** Listens at an address that may appear later, as the gateway's does with the first domain. */
export async function listenWhenPossible(
  server: Server,
  address: { readonly host: string; readonly port: number },
  closing: AbortSignal,
  onFault: (error: unknown) => void,
): Promise<void> {
  let told = "";
  while (!closing.aborted) {
    try {
      await listen(server, address);
      return;
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? "";
      if (code !== "EADDRNOTAVAIL" && code !== told) onFault(error);
      told = code;
    }
    await sleep(GATEWAY_RETRY_MS, undefined, { signal: closing }).catch(() => undefined);
  }
}

export function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

function listen(server: Server, options: ListenOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(options, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

function knock(path: string): Promise<"answers" | "stale" | "absent"> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve("answers");
    });
    socket.once("error", (cause: NodeJS.ErrnoException) => {
      if (cause.code === "ENOENT") resolve("absent");
      else if (cause.code === "ECONNREFUSED") resolve("stale");
      else reject(cannotUse(path, cause));
    });
  });
}

function cannotUse(path: string, cause: unknown): RouterError {
  const { code } = cause as NodeJS.ErrnoException;
  if (code === "EACCES" || code === "EPERM")
    return new RouterError("E_NOT_ROOT", `Only root may use ${path}; start the router as root.`, cause);
  return new RouterError("E_BAD_REQUEST", `Cannot use ${path} as a socket (${code}); correct it.`, cause);
}
