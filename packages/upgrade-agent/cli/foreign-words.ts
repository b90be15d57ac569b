/**
 * `testbed exec PLACE COMMAND…` carries another program's command line, whose options are not ours. This takes it out
 * before ours is parsed. Pure.
 */

export interface SplitWords {
  readonly own: string[];
  /** What stands behind the place, without a leading `--`. */
  readonly foreign: readonly string[];
}

/** Our options that take a value, and so a second word. */
const valued: ReadonlySet<string> = new Set(["--name"]);

export function splitWords(words: readonly string[]): SplitWords {
  if (words[0] !== "testbed" || words[1] !== "exec") return { own: [...words], foreign: [] };
  let place = 2;
  while (words[place]?.startsWith("-") === true) place += valued.has(words[place] ?? "") ? 2 : 1;
  const rest = words.slice(place + 1);
  return { own: words.slice(0, place + 1), foreign: rest[0] === "--" ? rest.slice(1) : rest };
}
