/** A differing pair as it is shown to people: short, and without secrets. */
import type { Sample, SamplePath } from "./contract.ts";
import type { Difference } from "./difference.ts";
import { isList, isRecord, textOf, type ComparableValue } from "./value.ts";

export interface SampleOptions {
  /** Names of fields and headers whose values are never shown. */
  readonly secret: RegExp;
  /** Of one value, characters. */
  readonly valueCharactersMax: number;
}

export const DEFAULT_SAMPLE_OPTIONS: SampleOptions = {
  secret: /authori[sz]ation|cookie|credential|passw|private|secret|session|token|api[-_]?key/i,
  valueCharactersMax: 512,
};

const REQUEST_CHARACTERS_MAX = 200;
const PATHS_MAX = 8;
export const REDACTED = "(secret)";

export function sampleOf(
  request: string,
  atMs: number,
  differences: readonly Difference[],
  options: SampleOptions,
): Sample {
  const paths = differences.slice(0, PATHS_MAX).map(({ path, left, right }): SamplePath => {
    const shown = (value: ComparableValue): string =>
      options.secret.test(path)
        ? REDACTED
        : JSON.stringify(redacted(value, options.secret)).slice(0, options.valueCharactersMax);
    return {
      path,
      ...(left === undefined ? {} : { baseline: shown(left) }),
      ...(right === undefined ? {} : { candidate: shown(right) }),
    };
  });
  return { request: request.slice(0, REQUEST_CHARACTERS_MAX), atMs, paths };
}

/** Members beyond these would be cut anyway. */
const MEMBERS_MAX = 16;

function redacted(value: ComparableValue, secret: RegExp, depth = 0): unknown {
  if (value instanceof Uint8Array) return textOf(value.subarray(0, 1024));
  if (typeof value === "string") return value.slice(0, 1024);
  if (depth >= 8) return "…";
  if (isList(value)) return value.slice(0, MEMBERS_MAX).map((member) => redacted(member, secret, depth + 1));
  if (!isRecord(value)) return value;
  const shown = Object.entries(value)
    .slice(0, MEMBERS_MAX)
    .map(([key, inner]) => [key, secret.test(key) ? REDACTED : redacted(inner, secret, depth + 1)] as const);
  return Object.fromEntries(shown);
}
