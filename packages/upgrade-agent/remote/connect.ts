/** Reaching the SSH server of a domain that may still be booting. */
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import ssh2 from "ssh2";
import { AgentError } from "../errors.ts";
import { connectTimeoutMs, pauseMs } from "./pace.ts";
import { Session } from "./session.ts";

export interface SessionOptions {
  readonly address: string;
  /** Default 22. */
  readonly port?: number;
  /** OpenSSH private key, PEM. */
  readonly privateKey: string;
  /** Default `root`. */
  readonly username?: string;
  /** Time from now in which the domain must answer, ms, default 60,000. */
  readonly deadlineMs?: number;
  /** Called when the server has taken a connection, before each handshake; for whoever measures. */
  readonly onConnect?: () => void;
  readonly signal?: AbortSignal | undefined;
}

const deadlineMsDefault = 60_000;
/** An emulated machine on a busy host needs seconds for the arithmetic of a handshake, ms. */
const handshakeTimeoutMs = 30_000;
/** So that a domain that vanished without a word is noticed, ms and count. */
const keepaliveIntervalMs = 15_000;
const keepaliveCountMax = 6;

/**
 * Tries until the server lets us in. The server's key is not checked: it is made at the domain's first boot, and the
 * management address leads to that domain and nowhere else, inside this machine. Throws E_DEADLINE, and E_SSH at once
 * when our key is refused.
 */
export async function openSession(options: SessionOptions): Promise<Session> {
  const startedAt = performance.now();
  const deadlineAt = startedAt + (options.deadlineMs ?? deadlineMsDefault);
  let last: unknown;
  for (;;) {
    options.signal?.throwIfAborted();
    const leftMs = deadlineAt - performance.now();
    if (leftMs <= 0) {
      const reason = last instanceof Error ? last.message : "no time was given";
      const message = `${options.address} did not answer SSH in time (${reason}); look at the domain's console log.`;
      throw new AgentError("E_DEADLINE", message, last);
    }
    try {
      return await tryOnce(options, leftMs, connectTimeoutMs(performance.now() - startedAt));
    } catch (error) {
      if (error instanceof AgentError) throw error;
      last = error;
    }
    const pause = Math.min(pauseMs(performance.now() - startedAt), leftMs);
    await sleep(pause, undefined, { signal: options.signal });
  }
}

async function tryOnce(options: SessionOptions, leftMs: number, timeoutMs: number): Promise<Session> {
  const socket = await openSocket(options, Math.min(timeoutMs, leftMs));
  options.onConnect?.();
  const client = new ssh2.Client();
  const stop = (): void => void client.destroy();
  options.signal?.addEventListener("abort", stop, { once: true });
  try {
    await new Promise<void>((resolve, reject) => {
      client.once("ready", resolve);
      client.once("error", (error: Error & { level?: string }) => {
        reject(error.level === "client-authentication" ? refused(options, error) : error);
      });
      client.once("close", () => reject(new Error("the connection ended during the handshake")));
      client.connect({
        sock: socket,
        username: options.username ?? "root",
        privateKey: options.privateKey,
        readyTimeout: Math.min(handshakeTimeoutMs, leftMs),
        keepaliveInterval: keepaliveIntervalMs,
        keepaliveCountMax,
      });
    });
    return new Session(client, options.address);
  } catch (error) {
    client.on("error", () => {});
    client.destroy();
    socket.destroy();
    options.signal?.throwIfAborted();
    throw error;
  } finally {
    options.signal?.removeEventListener("abort", stop);
  }
}

function refused(options: SessionOptions, cause: Error): AgentError {
  const message = `${options.address} refuses the domain's key; remove the domain and let it be made again.`;
  return new AgentError("E_SSH", message, cause);
}

function openSocket(options: SessionOptions, timeoutMs: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: options.address, port: options.port ?? 22, noDelay: true });
    const fail = (error: Error): void => {
      clearTimeout(timer);
      options.signal?.removeEventListener("abort", stop);
      socket.destroy();
      reject(error);
    };
    const timer = setTimeout(() => fail(new Error("the connection was not answered")), timeoutMs);
    const stop = (): void => fail(new Error("aborted"));
    options.signal?.addEventListener("abort", stop, { once: true });
    socket.once("error", fail);
    socket.once("connect", () => {
      clearTimeout(timer);
      options.signal?.removeEventListener("abort", stop);
      socket.off("error", fail);
      resolve(socket);
    });
  });
}
