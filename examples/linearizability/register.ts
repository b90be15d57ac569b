/** The sequential register that histories are held against. */
import type { Action, Operation, Value } from "./history.ts";

/** Undefined when the register would have answered otherwise in this state. */
export function after(state: Value, action: Action): { readonly state: Value } | undefined {
  switch (action.kind) {
    case "read":
      return action.value === state ? { state } : undefined;
    case "write":
      return { state: action.value };
    case "cas":
      if (action.done) return action.expected === state ? { state: action.value } : undefined;
      if (action.expected === state) return undefined;
      return action.found === undefined || action.found === state ? { state } : undefined;
    default:
      return action satisfies never;
  }
}

/** A write or a compare-and-set whose answer never came. */
export type Lost = Operation & { readonly action: Exclude<Action, { readonly kind: "read" }> };

export function isLost(operation: Operation): operation is Lost {
  return operation.endedAt === undefined && operation.action.kind !== "read";
}

/**
 * The rows of lost operations, each of them done right before the action, that make its answer right in this state. None of
 * them has an operation that could be left out: what was lost shows only in the answer of what comes right behind it.
 */
export function* rowsBefore(state: Value, action: Action, lost: readonly Lost[]): Generator<readonly Lost[]> {
  if (action.kind === "write") return;
  if (action.kind === "read") return yield* rowsTo(action.value, state, lost);
  if (action.done) return yield* rowsTo(action.expected, state, lost);
  if (action.found !== undefined) return yield* rowsTo(action.found, state, lost);
  // It failed and did not say what it found: anything but what it expected.
  for (const each of lost) {
    const { action: change } = each;
    if (change.value !== action.expected && (change.kind === "write" || change.expected === state))
      yield [each];
  }
}

/** Rows that end with the register holding `wanted`. */
function* rowsTo(wanted: Value, state: Value, lost: readonly Lost[]): Generator<readonly Lost[]> {
  for (const each of lost) {
    const { action } = each;
    if (action.value !== wanted) continue;
    if (action.kind === "write" || action.expected === state) {
      yield [each];
      continue;
    }
    const rest = lost.filter((other) => other !== each);
    for (const row of rowsTo(action.expected, state, rest)) yield [...row, each];
  }
}
