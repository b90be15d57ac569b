/** What the policies must be told of a request: whether it changes anything, and what. */

/**
 * What a request is. Writes with the same key are sent one after the other, in the same order to every version.
 *
 * `session`: it changes what the server makes of later requests of this connection (a login, a chosen database). It
 * goes to all versions, and what succeeded is sent again, in front, on every later server connection of this client.
 * Of several with one key the last counts.
 */
export interface Classified {
  readonly kind: "read" | "write" | "session";
  /**
   * Several, when a write touches several things; ALL_KEYS, when it touches everything. Default: a write without a key
   * is on its own, in any order with others.
   */
  readonly key?: string | readonly string[] | typeof ALL_KEYS;
}

/** The key of a write that no other write may pass. */
export const ALL_KEYS: unique symbol = Symbol("all keys");
