/** How long to wait before a crashed proxy is started again. Pure. */

const FIRST_MS = 100;
const LONGEST_MS = 5_000;
/** A proxy that ran this long before it crashed is started anew at once. */
const STEADY_MS = 60_000;

export interface BackOff {
  readonly crashes: number;
}

export const steady: BackOff = { crashes: 0 };

/** `ranMs`: how long the crashed process had run. The first start comes at once. */
export function afterCrash(
  before: BackOff,
  ranMs: number,
): { readonly next: BackOff; readonly delayMs: number } {
  const crashes = ranMs >= STEADY_MS ? 1 : before.crashes + 1;
  const delayMs = crashes === 1 ? 0 : Math.min(LONGEST_MS, FIRST_MS * 2 ** (crashes - 2));
  return { next: { crashes }, delayMs };
}
