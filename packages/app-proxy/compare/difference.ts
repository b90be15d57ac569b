/**
 * Where two replies differ: a list of paths, each once. A pure function of the two and the rules.
 *
 * Members of a list share the path `list[*]`. Of a list that differs it is told apart what differs: its length, its
 * order, the values of some fields, or which values stand together; so a list without an order, whose members have
 * tokens of their own, differs in its order and in the token, and a wrong price in it is still seen.
 */
import { ORDER, type Rules } from "./rules.ts";
import { isList, isRecord, jsonOf, textOf, type ComparableValue } from "./value.ts";

export interface Difference {
  readonly path: string;
  readonly left: ComparableValue | undefined;
  readonly right: ComparableValue | undefined;
}

const LENGTH = "(length)";
const PAIRING = "(pairing)";
/** Stands for all that is beyond the bound. */
export const MORE = "(more)";

/** Paths that one pair may differ at. */
export const PATHS_PER_PAIR_MAX = 64;
const DEPTH_MAX = 32;
const PATH_LENGTH_MAX = 200;

/** At most 65 paths; beyond that the last is `(more)`. */
export function differencesOf(
  left: ComparableValue,
  right: ComparableValue,
  rules: Rules,
): readonly Difference[] {
  const found = new Differences(rules);
  found.compare("", left, right, 0);
  return found.all();
}

class Differences {
  readonly #rules: Rules;
  readonly #byPath = new Map<string, Difference>();

  constructor(rules: Rules) {
    this.#rules = rules;
  }

  all(): readonly Difference[] {
    return [...this.#byPath.values()];
  }

  compare(
    path: string,
    left: ComparableValue | undefined,
    right: ComparableValue | undefined,
    depth: number,
  ): void {
    if (Object.is(left, right) || (path !== "" && this.#rules.ignores(path))) return;
    if (left instanceof Uint8Array && right instanceof Uint8Array)
      return this.#bytes(path, left, right, depth);
    if (depth >= DEPTH_MAX) {
      if (JSON.stringify(left) !== JSON.stringify(right)) this.#add(path, left, right);
      return;
    }
    if (isList(left) && isList(right)) return this.#lists(path, left, right, depth);
    if (isRecord(left) && isRecord(right)) {
      for (const key of new Set([...Object.keys(left), ...Object.keys(right)])) {
        this.compare(beneath(path, key), own(left, key), own(right, key), depth + 1);
      }
      return;
    }
    const equal =
      typeof left === "string" && typeof right === "string"
        ? this.#rules.clean(path, left) === this.#rules.clean(path, right)
        : left === right;
    if (!equal) this.#add(path, left, right);
  }

  #bytes(path: string, left: Uint8Array, right: Uint8Array, depth: number): void {
    if (Buffer.compare(left, right) === 0) return;
    const leftJson = jsonOf(left);
    const rightJson = leftJson === undefined ? undefined : jsonOf(right);
    if (leftJson !== undefined && rightJson !== undefined) {
      return this.compare(path, leftJson.value, rightJson.value, depth + 1);
    }
    this.compare(path, textOf(left), textOf(right), depth + 1);
  }

  #lists(
    path: string,
    left: readonly ComparableValue[],
    right: readonly ComparableValue[],
    depth: number,
  ): void {
    const ofMembers = `${path}[*]`;
    if (left.length !== right.length) return this.#add(`${path}${LENGTH}`, left, right);
    const inPlace = new Differences(this.#rules);
    for (const [at, member] of left.entries()) inPlace.compare(ofMembers, member, right[at], depth + 1);
    const differing = inPlace.all();
    if (differing.length === 0) return;
    const leftFields = left.map((member) => this.#fields(ofMembers, member));
    const rightFields = right.map((member) => this.#fields(ofMembers, member));
    const changed = changedFields(leftFields, rightFields);
    const remaining = (fields: Fields): string => textOfFields(fields, changed);
    const leftTexts = leftFields.map(remaining);
    const rightTexts = rightFields.map(remaining);
    const isMoved = leftTexts.some((text, at) => text !== rightTexts[at]);
    for (const each of differing) {
      // What differs in place only because members moved is said once, by the mark.
      if (!isMoved || changed.has(each.path)) this.#add(each.path, each.left, each.right);
    }
    if (!isMoved) return;
    const same = leftTexts.toSorted().join("\n") === rightTexts.toSorted().join("\n");
    this.#add(`${path}${same ? ORDER : PAIRING}`, left, right);
  }

  /** The leaves of one member: path → what is there, texts as they are compared. */
  #fields(path: string, member: ComparableValue, fields: Fields = new Map(), depth = 0): Fields {
    if (this.#rules.ignores(path)) return fields;
    const parsed = member instanceof Uint8Array ? (jsonOf(member)?.value ?? textOf(member)) : member;
    if (isRecord(parsed) && depth < DEPTH_MAX) {
      for (const key of Object.keys(parsed)) {
        this.#fields(beneath(path, key), parsed[key] as ComparableValue, fields, depth + 1);
      }
    } else if (isList(parsed) && depth < DEPTH_MAX) {
      for (const inner of parsed) this.#fields(`${path}[*]`, inner, fields, depth + 1);
    } else {
      const text = typeof parsed === "string" ? this.#rules.clean(path, parsed) : parsed;
      const texts = fields.get(path) ?? [];
      texts.push(JSON.stringify(text));
      fields.set(path, texts);
    }
    return fields;
  }

  #add(path: string, left: ComparableValue | undefined, right: ComparableValue | undefined): void {
    const bounded = path === "" ? "(value)" : path.slice(0, PATH_LENGTH_MAX);
    if (this.#rules.ignores(bounded) || this.#byPath.has(bounded)) return;
    if (this.#byPath.size < PATHS_PER_PAIR_MAX) this.#byPath.set(bounded, { path: bounded, left, right });
    else this.#byPath.set(MORE, { path: MORE, left: undefined, right: undefined });
  }
}

type Fields = Map<string, string[]>;

/** Paths under which the members of one side, taken together, have other values than those of the other. */
function changedFields(left: readonly Fields[], right: readonly Fields[]): ReadonlySet<string> {
  const leftValues = gathered(left);
  const rightValues = gathered(right);
  const paths = new Set([...leftValues.keys(), ...rightValues.keys()]);
  return new Set([...paths].filter((path) => leftValues.get(path) !== rightValues.get(path)));
}

function gathered(members: readonly Fields[]): Map<string, string> {
  const all = new Map<string, string[]>();
  for (const fields of members) {
    for (const [path, texts] of fields) {
      const known = all.get(path) ?? [];
      known.push(...texts);
      all.set(path, known);
    }
  }
  return new Map([...all].map(([path, texts]) => [path, texts.sort().join("\n")]));
}

/** A member as one text, without the fields that changed; lists inside it as sets. */
function textOfFields(fields: Fields, without: ReadonlySet<string>): string {
  return [...fields]
    .filter(([path]) => !without.has(path))
    .map(([path, texts]) => `${path}=${texts.toSorted().join(",")}`)
    .sort()
    .join(";");
}

function own(record: { readonly [key: string]: ComparableValue }, key: string): ComparableValue | undefined {
  return Object.hasOwn(record, key) ? record[key] : undefined;
}

function beneath(path: string, key: string): string {
  if (/^[\w$-]+$/.test(key)) return path === "" ? key : `${path}.${key}`;
  return `${path}[${JSON.stringify(key)}]`;
}
