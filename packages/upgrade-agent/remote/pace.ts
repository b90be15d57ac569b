/**
 * How eagerly a booting domain is asked for SSH. All times grow with the time waited so far: a container is there after a
 * tenth of a second, an emulated machine among many after a minute, and either shall wait only a little longer than it
 * takes. Pure.
 */

/**
 * How long a try to connect may take, ms. A domain whose network is not up yet swallows the first packet, and a new try
 * is sooner than TCP's repetition of it after a second; but a machine on a busy host may be slow to answer.
 */
export function connectTimeoutMs(waitedMs: number): number {
  return Math.min(3_000, Math.max(25, waitedMs / 16));
}

/** Between two tries, ms. A refused connection costs a booting domain some tenths of a millisecond. */
export function pauseMs(waitedMs: number): number {
  return Math.min(100, Math.max(10, waitedMs / 100));
}
