/**
 * Loaded into the proxy process before its own code (`node --import`): its clock and its timers run SPEED times as fast
 * as the world's, so that a day of deadlines passes in minutes; and it says what it holds when its parent asks.
 */

/** What the process holds after its garbage is collected. */
export interface Held {
  readonly rssBytes: number;
  readonly heapBytes: number;
  /** Outside of the heap: buffers. */
  readonly externalBytes: number;
  readonly sockets: number;
  readonly timers: number;
}

const speed = Number(process.env["VM_SOAK_SPEED"]);
const realNow = performance.now.bind(performance);
performance.now = () => realNow() * speed;

for (const name of ["setTimeout", "setInterval"] as const) {
  const real = globalThis[name] as (callback: () => void, delayMs: number) => NodeJS.Timeout;
  const fast = (callback: () => void, delayMs = 0): NodeJS.Timeout => real(callback, delayMs / speed);
  Object.assign(globalThis, { [name]: fast });
}

function held(): Held {
  // Twice: what finalisers let go of is collected the second time.
  globalThis.gc?.();
  globalThis.gc?.();
  const { rss, heapUsed, external } = process.memoryUsage();
  const resources = process.getActiveResourcesInfo();
  const count = (name: string): number => resources.filter((resource) => resource === name).length;
  return {
    rssBytes: rss,
    heapBytes: heapUsed,
    externalBytes: external,
    sockets: count("TCPSocketWrap"),
    timers: count("Timeout"),
  };
}

process.on("message", () => void process.send?.(held()));
// The parent's wish to talk is no reason to live on.
process.channel?.unref();
