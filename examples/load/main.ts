/**
 * The load client's command line. Prints one JSON object per line: {"type":"progress"} each second, one
 * {"type":"summary"} at the end of the load, one {"type":"verification"} per `verify`.
 *
 * The load ends after --seconds, on SIGTERM or SIGINT, or on the line `stop` on standard input. With --interactive the
 * program then waits for further lines: `verify URL` reads every acknowledged write back from one node, `quit` (or the
 * end of input) ends it.
 */
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { Load } from "./load.ts";

const USAGE = `usage: load --url http://ADDRESS[:PORT] [--url ...] [--rate 60] [--seconds N] [--workers 12] [--keys 2000]
            [--value-bytes 100] [--write-share 0.5] [--timeout-ms 10000] [--interactive]`;

const EXIT_FAILED_REQUESTS = 1;
const EXIT_USAGE = 2;

function print(type: string, facts: object): void {
  process.stdout.write(`${JSON.stringify({ type, ...facts })}\n`);
}

function parse() {
  const { values } = parseArgs({
    options: {
      url: { type: "string", multiple: true },
      rate: { type: "string", default: "60" },
      seconds: { type: "string" },
      workers: { type: "string", default: "12" },
      keys: { type: "string", default: "2000" },
      "value-bytes": { type: "string", default: "100" },
      "write-share": { type: "string", default: "0.5" },
      "timeout-ms": { type: "string", default: "10000" },
      interactive: { type: "boolean", default: false },
    },
  });
  const number = (
    name: "rate" | "seconds" | "workers" | "keys" | "value-bytes" | "write-share" | "timeout-ms",
  ): number => {
    const parsed = Number(values[name]);
    if (!Number.isFinite(parsed) || parsed <= 0) throw new RangeError(`--${name} must be a number above 0`);
    return parsed;
  };
  return {
    urls: values.url ?? [],
    ratePerSecond: number("rate"),
    seconds: values.seconds === undefined ? undefined : number("seconds"),
    workers: number("workers"),
    keys: number("keys"),
    valueBytes: number("value-bytes"),
    writeShare: number("write-share"),
    timeoutMs: number("timeout-ms"),
    interactive: values.interactive,
  };
}

/** Ties the load to signals, the clock and standard input. */
function run({ seconds, interactive, ...options }: ReturnType<typeof parse>): void {
  const load = new Load({ ...options, onProgress: (progress) => print("progress", progress) });
  const input = createInterface({ input: process.stdin });
  let stopping: Promise<void> | undefined;

  const finish = (): void => {
    input.close();
    load.close();
    process.stdin.destroy();
    process.exitCode = load.summary().failed === 0 ? 0 : EXIT_FAILED_REQUESTS;
  };
  const end = async (): Promise<void> => {
    print("summary", await load.stop());
    if (!interactive) finish();
  };
  const stop = async (): Promise<void> => {
    stopping ??= end();
    await stopping;
  };
  const obey = async (line: string): Promise<void> => {
    const [command, url] = line.trim().split(/\s+/);
    if (command === "stop") return stop();
    if (command === "verify" && url !== undefined) {
      await stop();
      return print("verification", await load.verify(url));
    }
    if (command === "quit") {
      await stop();
      return finish();
    }
    return print("error", { message: "the commands are: stop, verify URL, quit" });
  };

  process.once("SIGTERM", () => void stop());
  process.once("SIGINT", () => void stop());
  load.start();
  if (seconds !== undefined) setTimeout(() => void stop(), seconds * 1000).unref();
  let previous = Promise.resolve();
  const queue = (line: string): void => {
    previous = previous.then(async () => obey(line));
  };
  input.on("line", queue);
  if (interactive) input.on("close", () => queue("quit"));
}

try {
  run(parse());
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n${USAGE}\n`);
  process.exitCode = EXIT_USAGE;
}
