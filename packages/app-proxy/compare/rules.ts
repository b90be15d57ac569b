/** What the application says of differences that mean nothing, compiled once. */
import { ProxyError } from "../errors.ts";

export interface CompareRules {
  /**
   * Paths that are not compared, with all beneath them: `body.items[*].seenAt`, `headers.x-request-id`. `*` is one
   * name, `**` any part of a path, `[*]` the members of a list. Default: none.
   */
  readonly ignore?: readonly string[];
  /** Headers that are not compared, in any case; short for `headers.NAME`. Default: none. */
  readonly ignoreHeaders?: readonly string[];
  /** Paths of lists whose order means nothing. Default: none; lists without an order are also learned. */
  readonly unordered?: readonly string[];
  /** Parts of texts that are not compared. Default: none. */
  readonly replace?: readonly Replacement[];
}

export interface Replacement {
  /** Every match in a text is replaced, on both sides, before they are compared. It must be quick on any text. */
  readonly match: RegExp;
  /** Default: nothing. */
  readonly by?: string;
  /** Only in texts at this path, written as in `ignore`. Default: everywhere. */
  readonly at?: string;
}

export interface Rules {
  ignores(path: string): boolean;
  /** A text as it is compared. */
  clean(path: string, text: string): string;
}

/** Marks behind the path of a list or a record: what of it differs. */
export const ORDER = "(order)";

export function compileRules(rules: CompareRules): Rules {
  const headers = (rules.ignoreHeaders ?? []).map((name) => `headers.${name.toLowerCase()}`);
  const ignored = [...(rules.ignore ?? []), ...headers].map((pattern) => matcher(pattern, BENEATH));
  const unordered = (rules.unordered ?? []).map((pattern) => matcher(pattern, ORDER_EXACTLY));
  const matchers = [...ignored, ...unordered];
  const replacements = (rules.replace ?? []).map(({ match, by = "", at }) => {
    if (!(match instanceof RegExp)) throw fault("replace[].match must be a regular expression");
    const flags = match.flags.includes("g") ? match.flags : `${match.flags}g`;
    return { match: new RegExp(match.source, flags), by, at: at === undefined ? /^/ : matcher(at, BENEATH) };
  });
  return {
    ignores: (path) => matchers.some((expression) => expression.test(path)),
    clean(path, text) {
      let cleaned = text;
      for (const { match, by, at } of replacements) if (at.test(path)) cleaned = cleaned.replace(match, by);
      return cleaned;
    },
  };
}

const BENEATH = String.raw`(?=$|[.[(])`;
const ORDER_EXACTLY = String.raw`\(order\)$`;

function matcher(pattern: string, end: string): RegExp {
  if (typeof pattern !== "string" || pattern === "") throw fault("a path must be a text that is not empty");
  const source = pattern
    .split(/(\*\*|\[\*\]|\*)/)
    .map((part) => {
      if (part === "**") return ".*";
      if (part === "*") return String.raw`[^.[\]()]+`;
      return part.replaceAll(/[$()*+.?[\\\]^{|}]/g, String.raw`\$&`);
    })
    .join("");
  return new RegExp(`^${source}${end}`);
}

function fault(what: string): ProxyError {
  return new ProxyError("E_HANDLER", `The rules for comparing are wrong: ${what}.`);
}
