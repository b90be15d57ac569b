/** Whether what a process holds at rest grows. Pure. */

/** After a storm and the silence behind it. */
export interface Rest {
  /** Client connections since the start. */
  readonly connections: number;
  readonly rssBytes: number;
  readonly heapBytes: number;
  readonly externalBytes: number;
  readonly sockets: number;
  readonly timers: number;
  readonly descriptors: number;
}

/**
 * What is left per client connection when one object of a connection leaks is thousands of bytes; what compiled code and
 * statistics of the engine grow by in a run is less than this.
 */
const HEAP_BYTES_PER_CONNECTION_MAX = 200;
/**
 * Resident memory also has the pages that V8 keeps for later, within the limit of its heap, and what the allocator keeps:
 * it grows until they have seen the worst. So it is judged by the second half, when there are many rests, and loosely.
 */
const RSS_BYTES_PER_CONNECTION_MAX = 1_000;
const MANY_RESTS = 12;
/** Peaks: the heap's limit, the limit of what connections may keep, and the program itself. */
const RSS_PEAK_BYTES_MAX = 600 * 2 ** 20;

/** One sentence per leak; empty when there is none. The first rest is the baseline, the first third warms up. */
export function leaks(rests: readonly Rest[], peakBytes: number): readonly string[] {
  const [baseline] = rests;
  const settled = rests.slice(Math.floor(rests.length / 3));
  const last = settled.at(-1);
  if (baseline === undefined || last === undefined || settled.length < 3)
    throw new RangeError("Too few rests to see a slope.");
  const found: string[] = [];
  for (const what of ["sockets", "timers", "descriptors"] as const) {
    const more = Math.min(...settled.map((rest) => rest[what])) - baseline[what];
    if (more > 0) found.push(`${more} ${what} more at rest than at the start`);
  }
  const secondHalf = rests.length < MANY_RESTS ? [] : rests.slice(Math.floor(rests.length / 2));
  const slopes = [
    ["heap", slope(settled, "heapBytes"), HEAP_BYTES_PER_CONNECTION_MAX],
    ["buffers", slope(settled, "externalBytes"), HEAP_BYTES_PER_CONNECTION_MAX],
    ["resident memory", slope(secondHalf, "rssBytes"), RSS_BYTES_PER_CONNECTION_MAX],
  ] as const;
  for (const [what, bytes, most] of slopes) {
    if (bytes > most) found.push(`${what} at rest grows by ${bytes.toFixed(0)} bytes per client connection`);
  }
  if (peakBytes > RSS_PEAK_BYTES_MAX)
    found.push(`resident memory rose to ${(peakBytes / 2 ** 20).toFixed(0)} MiB`);
  return found;
}

/** Bytes per connection: the median of the slopes between all pairs (Theil and Sen), which one odd rest does not move. */
export function slope(rests: readonly Rest[], what: "heapBytes" | "externalBytes" | "rssBytes"): number {
  const slopes = rests.flatMap((later, index) =>
    rests
      .slice(0, index)
      .filter((earlier) => later.connections > earlier.connections)
      .map((earlier) => (later[what] - earlier[what]) / (later.connections - earlier.connections)),
  );
  const sorted = slopes.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
