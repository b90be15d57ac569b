/**
 * When a service that ended is started again: at once at first, then ever later while it keeps dying young. Pure.
 */

/** Delay before the first restart, ms. */
const DELAY_MIN_MS = 100;

/** The longest delay, ms: a service that fails for ever costs one start every five seconds. */
const DELAY_MAX_MS = 5_000;

/** A service that ran this long had a good start; its next restart is a first one again, ms. */
const GOOD_RUN_MS = 10_000;

/** Delay before the next start, from the delay before the last one (0: none yet) and how long that run lasted. */
export function nextDelayMs(lastDelayMs: number, ranMs: number): number {
  if (lastDelayMs === 0 || ranMs >= GOOD_RUN_MS) return DELAY_MIN_MS;
  return Math.min(DELAY_MAX_MS, lastDelayMs * 2);
}
