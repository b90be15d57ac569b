/** What clients saw of registers: each operation with the moments at which it was begun and answered. */

/** A value, or null where nothing was ever written. */
export type Value = string | null;

export type Action =
  | { readonly kind: "read"; readonly value: Value }
  | { readonly kind: "write"; readonly value: string }
  /** Compare and set. `found`: what the register held instead, if the answer said so; only of one that failed. */
  | {
      readonly kind: "cas";
      readonly expected: Value;
      readonly value: string;
      readonly done: boolean;
      readonly found?: Value;
    };

export interface Operation {
  readonly key: string;
  readonly action: Action;
  /** Moments of one monotonic clock that all clients share, in any unit. */
  readonly begunAt: number;
  /**
   * Undefined when no answer came: nobody knows whether it was done, and it may be done at any later time. What `action`
   * says of its answer (`value` of a read, `done` of a compare-and-set) counts for nothing then.
   */
  readonly endedAt: number | undefined;
}

/** Operations by key, in the order of their beginnings. */
export function byKey(history: readonly Operation[]): ReadonlyMap<string, readonly Operation[]> {
  const keys = Map.groupBy(history, ({ key }) => key);
  for (const operations of keys.values()) operations.sort((left, right) => left.begunAt - right.begunAt);
  return keys;
}
