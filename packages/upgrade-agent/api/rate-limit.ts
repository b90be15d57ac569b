/** A token bucket per caller, bounded in callers. Pure: the time is handed in. */

export interface RateLimit {
  /** Answers per second that a caller gets for long. */
  readonly perSecond: number;
  /** Answers that it may have at once. */
  readonly burst: number;
  /** Callers remembered; the oldest is forgotten first. */
  readonly callersMax: number;
}

export function createRateLimit(limit: RateLimit): (caller: string, nowMs: number) => boolean {
  const buckets = new Map<string, { tokens: number; atMs: number }>();
  return (caller, nowMs) => {
    const bucket = buckets.get(caller) ?? { tokens: limit.burst, atMs: nowMs };
    const earned = (Math.max(0, nowMs - bucket.atMs) / 1_000) * limit.perSecond;
    const tokens = Math.min(limit.burst, bucket.tokens + earned);
    buckets.delete(caller);
    buckets.set(caller, { tokens: tokens < 1 ? tokens : tokens - 1, atMs: nowMs });
    const oldest = buckets.keys().next();
    if (buckets.size > limit.callersMax && oldest.done === false) buckets.delete(oldest.value);
    return tokens >= 1;
  };
}
