/** One SSH connection to a domain: commands, and a release's tarball. */
import { constants } from "node:os";
import type { Readable } from "node:stream";
import type { Client, ClientChannel } from "ssh2";
import { AgentError } from "../errors.ts";
import { copyIn, type CopyOptions } from "./copy.ts";
import { OutputTail, textListener } from "./output.ts";
import { killDelayS, remoteCommand } from "./shell.ts";

export interface ExecOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** After this time the command is ended in the domain, ms, default 60,000. */
  readonly timeoutMs?: number;
  /** Without it the command reads an empty standard input. */
  readonly stdin?: Readable;
  readonly onOutput?: (text: string, stream: "stdout" | "stderr") => void;
  readonly signal?: AbortSignal | undefined;
}

export interface ExecResult {
  /** 128 + N when signal N ended it. */
  readonly exitCode: number;
  /** Both output streams, as they came; at most the last 64 KiB. */
  readonly output: string;
}

const timeoutMsDefault = 60_000;
/** The domain ends a command itself; when it says nothing for so much longer, the connection is taken for dead, ms. */
const answerGraceMs = killDelayS * 1000 + 10_000;
/** How `timeout` says that it ended a command: coreutils' by itself, busybox' by SIGTERM, both by SIGKILL. */
const timedOutStatuses = new Set([124, 137, 143]);
const closeTimeoutMs = 2_000;
/** How often a command is sent that the domain did not even start. */
const startTriesMax = 10;

class NotStarted extends Error {}

const noAnswer = new Error("the domain said nothing after the time of the command was over");

export class Session {
  readonly #client: Client;
  readonly #address: string;
  #closed = false;

  /** Of a client that is ready. Users call `openSession`. */
  constructor(client: Client, address: string) {
    this.#client = client;
    this.#address = address;
    client.on("close", () => (this.#closed = true));
    // Whoever waits for an answer hears of it by the end of the channel.
    client.on("error", () => {});
  }

  /**
   * Runs `/bin/sh -c command`; any exit status is an answer. Throws E_DEADLINE when the time was over (the command is
   * ended in the domain), E_SSH when the connection broke, E_BAD_REQUEST when the command is too long. Aborting ends
   * the command, unless all of its `stdin` was sent: then it ends when it is done or its time is over.
   */
  async exec(command: string, options: ExecOptions = {}): Promise<ExecResult> {
    options.signal?.throwIfAborted();
    const timeoutMs = options.timeoutMs ?? timeoutMsDefault;
    const startedAt = performance.now();
    const tail = new OutputTail();
    try {
      const input = options.stdin === undefined ? "empty" : "channel";
      const whole = remoteCommand(command, { env: options.env ?? {}, timeoutMs, input });
      const exitCode = await this.#run(whole, options, timeoutMs, tail);
      const late = timedOutStatuses.has(exitCode) && performance.now() - startedAt >= timeoutMs;
      if (late) throw overdue(command, timeoutMs, tail);
      return { exitCode, output: tail.text() };
    } catch (error) {
      if (error === noAnswer) throw overdue(command, timeoutMs, tail);
      throw error;
    }
  }

  /**
   * Unpacks a gzipped tarball into a directory, which then holds exactly its contents. What arrived is compared by
   * SHA-256 before it is unpacked. Repeating is fine. Throws E_SSH, E_DISK_FULL, E_DEADLINE.
   */
  copyIn(localTarball: string, remoteDirectory: string, options: CopyOptions = {}): Promise<void> {
    return copyIn(this, localTarball, remoteDirectory, options);
  }

  /** Never throws. */
  async close(): Promise<void> {
    if (this.#closed) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => {
        this.#client.destroy();
        resolve();
      }, closeTimeoutMs);
      this.#client.once("close", () => {
        clearTimeout(timer);
        resolve();
      });
      this.#client.end();
    });
  }

  /**
   * The exit status. Dropbear up to 2024.85 closes a channel again, before it reads what shall run there, when another
   * command ends in that moment (mkj/dropbear issue 321): nothing has run then, and another channel is tried.
   */
  async #run(command: string, options: ExecOptions, timeoutMs: number, tail: OutputTail): Promise<number> {
    for (let triesLeft = startTriesMax - 1; ; triesLeft -= 1) {
      if (this.#closed) throw this.#broken();
      try {
        return await this.#try(command, options, timeoutMs, tail);
      } catch (error) {
        if (!(error instanceof NotStarted)) throw error;
        if (triesLeft === 0) throw this.#broken(error.cause);
        options.signal?.throwIfAborted();
      }
    }
  }

  /** Listeners are attached before anything else happens: a short command may be over at once. */
  #try(command: string, options: ExecOptions, timeoutMs: number, tail: OutputTail): Promise<number> {
    return new Promise((resolve, reject) => {
      const onClose = (): void => reject(this.#broken());
      this.#client.once("close", onClose);
      this.#client.exec(command, (error, channel) => {
        this.#client.off("close", onClose);
        if (error !== undefined) return reject(new NotStarted("no channel", { cause: error }));
        listen(channel, tail, options);
        resolve(this.#finish(channel, options, timeoutMs));
      });
    });
  }

  /** Settles once both output streams have ended. */
  #finish(channel: ClientChannel, options: ExecOptions, timeoutMs: number): Promise<number> {
    const { signal, stdin } = options;
    return new Promise((resolve, reject) => {
      let status: number | undefined;
      const end = (settle: () => void): void => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", onAbort);
        stdin?.unpipe(channel);
        settle();
      };
      // The channel is left to the domain to close: ssh2 gives the number of a channel that we close to the next one
      // at once, which the domain's late answer to the close would then end.
      const giveUp = (error: unknown): void => {
        channel.signal("TERM");
        end(() => reject(error));
        channel.end();
      };
      const onAbort = (): void => giveUp(signal?.reason);
      const timer = setTimeout(() => giveUp(noAnswer), timeoutMs + answerGraceMs);
      channel.once(
        "exit",
        (code: number | null, signalName?: string) => (status = exitStatus(code, signalName)),
      );
      channel.once("close", () =>
        end(() => (status === undefined ? reject(this.#broken()) : resolve(status))),
      );
      // A command may end without reading all of its input; its exit status says what that means.
      channel.on("error", () => {});
      if (signal?.aborted) return onAbort();
      signal?.addEventListener("abort", onAbort, { once: true });
      stdin?.once("error", giveUp);
      stdin?.pipe(channel);
    });
  }

  #broken(cause?: unknown): AgentError {
    const message = `The SSH connection to ${this.#address} broke; see whether the domain still runs.`;
    return new AgentError("E_SSH", message, cause);
  }
}

/** What comes after an abort is read, so that the connection does not stall, but nobody hears of it. */
function listen(channel: ClientChannel, tail: OutputTail, { onOutput, signal }: ExecOptions): void {
  const streams = [
    ["stdout", channel],
    ["stderr", channel.stderr],
  ] as const;
  for (const [name, stream] of streams) {
    stream.on("data", (chunk: Buffer) => tail.push(chunk));
    if (onOutput === undefined) continue;
    const hear = (text: string): void => {
      if (!signal?.aborted) onOutput(text, name);
    };
    stream.on("data", textListener(hear));
  }
}

function exitStatus(code: number | null, signalName: string | undefined): number {
  if (code !== null) return code;
  const numbers: Readonly<Record<string, number>> = constants.signals;
  return 128 + (numbers[signalName ?? ""] ?? 0);
}

function overdue(command: string, timeoutMs: number, tail: OutputTail): AgentError {
  const end = tail.text().trim().slice(-300);
  const said = end === "" ? "it said nothing" : `it said last: ${end}`;
  const message = `${JSON.stringify(command.slice(0, 80))} did not end within ${timeoutMs / 1000} s; ${said}`;
  return new AgentError("E_DEADLINE", message);
}
