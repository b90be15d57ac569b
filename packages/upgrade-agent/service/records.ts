/** The supervisor's log (`inside/vm-supervise`), read: lines become records, and records become words for people. Pure. */

/** What happened, by the letter that stands for it in the log. */
const kinds = {
  o: "output",
  e: "error-output",
  s: "started",
  x: "exited",
  r: "restarting",
  d: "ended",
  f: "failed",
  t: "stopped",
  k: "killed",
} as const;

export type RecordKind = (typeof kinds)[keyof typeof kinds];

export interface ServiceRecord {
  /** Grows by one with every line of a domain's disk. */
  readonly number: number;
  /** By the domain's clock, milliseconds since the epoch. */
  readonly atMs: number;
  readonly kind: RecordKind;
  readonly text: string;
}

/** Longest line that is one, characters; anything longer is nonsense of somebody else's. */
const lineLengthMax = 8_192;

const linePattern = /^(\d{1,15}) (\d{1,15}) ([a-z]) (.*)$/s;

/** Undefined for a line that was cut off, or is none of ours. */
export function parseRecord(line: string): ServiceRecord | undefined {
  const match = line.length > lineLengthMax ? null : linePattern.exec(line);
  const [, number, atMs, letter = "", text = ""] = match ?? [];
  if (match === null || !(letter in kinds)) return undefined;
  return { number: Number(number), atMs: Number(atMs), kind: kinds[letter as keyof typeof kinds], text };
}

/** Puts lines together that come in pieces. */
export class LineSplitter {
  #rest = "";

  /** Whole lines, without their ends. */
  push(text: string): string[] {
    const lines = (this.#rest + text).split("\n");
    this.#rest = (lines.pop() ?? "").slice(0, 2 * lineLengthMax);
    return lines;
  }
}

/** Where the journal shows it: what the service said, or what happened to it. */
export function sourceOf({ kind }: ServiceRecord): "app" | "app error" | "service" {
  if (kind === "output") return "app";
  return kind === "error-output" ? "app error" : "service";
}

/** No escape sequence of a service's output reaches a terminal. Tabs stay. */
function plain(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}]/gu, (character) => (character === "\t" ? character : "\u{fffd}"));
}

export function describeRecord({ kind, text }: ServiceRecord): string {
  const [first = "", second = ""] = text.split(" ");
  switch (kind) {
    case "output":
    case "error-output":
      return plain(text);
    case "started":
      return `started as process ${first}`;
    case "exited":
      return first === "signal" ? `was ended by signal ${second}` : `ended with status ${second}`;
    case "restarting":
      return `starts again in ${Number(first) / 1000} s (restart ${second})`;
    case "ended":
      return "has ended, and its policy wants no restart";
    case "failed":
      return "has failed: it ended more often than its policy allows";
    case "stopped":
      return "was stopped";
    case "killed":
      return "did not stop in time and is killed";
  }
}
