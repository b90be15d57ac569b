/** The test's side of an actor: starts its process in a network namespace and passes calls on. */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { ChildProcess } from "node:child_process";

const ACTOR = fileURLToPath(new URL("actor.ts", import.meta.url));

export class ActorError extends Error {
  readonly code: string | undefined;
  constructor(message: string, code: string | undefined) {
    super(message);
    this.code = code;
  }
}

/** A process in a namespace, driven over IPC. */
export class Actor {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<
    number,
    { resolve: (value: unknown) => void; reject: (error: Error) => void }
  >();
  #nextId = 1;

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.on(
      "message",
      ({ id, result, error, code }: { id: number; result?: unknown; error?: string; code?: string }) => {
        const waiting = this.#waiting.get(id);
        this.#waiting.delete(id);
        if (error === undefined) waiting?.resolve(result);
        else waiting?.reject(new ActorError(error, code));
      },
    );
    child.on("exit", () => {
      for (const { reject } of this.#waiting.values()) reject(new ActorError("the actor died", "EDIED"));
      this.#waiting.clear();
    });
  }

  static start(namespace: string, script = ACTOR, more: readonly string[] = []): Promise<Actor> {
    const enter = ["nsenter", `--net=/run/netns/${namespace}`];
    return Actor.launch([...enter, process.execPath, "--no-warnings", script, ...more]);
  }

  /** Any command that becomes a script which speaks as actor.ts does. */
  static async launch([file = "", ...words]: readonly string[]): Promise<Actor> {
    const child = spawn(file, words, {
      stdio: ["ignore", "inherit", "inherit", "ipc"],
      serialization: "advanced",
    });
    const actor = new Actor(child);
    await new Promise((resolve, reject) => actor.#waiting.set(0, { resolve, reject }));
    return actor;
  }

  call<T>(method: string, ...args: unknown[]): Promise<T> {
    const id = this.#nextId++;
    return new Promise<T>((resolve, reject) => {
      this.#waiting.set(id, { resolve: resolve as (value: unknown) => void, reject });
      this.#child.send({ id, method, args });
    });
  }

  /** SIGKILL: nothing can be tidied up. */
  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = new Promise((resolve) => this.#child.once("exit", resolve));
    this.#child.kill("SIGKILL");
    await gone;
  }

  connect(
    host: string,
    port: number,
    localPort?: number,
  ): Promise<{ id: number; greeting: string; local: string }> {
    return this.call("tcpConnect", host, port, localPort);
  }

  echo(id: number, text: string): Promise<string> {
    return this.call("tcpEcho", id, text);
  }

  udp(host: string, port: number, bytes = 20, localPort = 0, timeoutMs = 1000): Promise<string> {
    return this.call("udpAsk", host, port, bytes, localPort, timeoutMs);
  }
}
