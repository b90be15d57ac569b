/** A token bucket over an injected clock: what every rate limit of the gossip core is made of. */

export interface BucketRate {
  /** Events that may happen at once. */
  readonly burst: number;
  /** Events per second in the long run. */
  readonly perSecond: number;
}

export interface Bucket {
  tokens: number;
  filledAtMs: number;
}

export function fullBucket(rate: BucketRate, nowMs: number): Bucket {
  return { tokens: rate.burst, filledAtMs: nowMs };
}

/** Takes one token if there is one. A clock that steps back fills nothing and empties nothing. */
export function takeToken(bucket: Bucket, rate: BucketRate, nowMs: number): boolean {
  const elapsedMs = Math.max(0, nowMs - bucket.filledAtMs);
  bucket.tokens = Math.min(rate.burst, bucket.tokens + (elapsedMs * rate.perSecond) / 1000);
  bucket.filledAtMs = nowMs;
  if (bucket.tokens < 1) return false;
  bucket.tokens -= 1;
  return true;
}
