/** How long a service that starts may take until it is healthy. Pure. */

/** What one run of the health hook said. */
export interface HealthAnswer {
  readonly healthy: boolean;
  readonly said: string;
  /** Milliseconds that it took beyond the pause after it, as far as they count. */
  readonly spentMs: number;
}

/** As in a manifest: milliseconds between two checks and in all, and how many in a row must succeed. */
export interface HealthRule {
  readonly intervalMs: number;
  readonly successes: number;
  readonly deadlineMs: number;
}

/**
 * Asks until the answers are as the rule wants them. Answers undefined then, else the last words of the hook. A check
 * that runs out of its own time is no more than one that says no: a busy machine is slow before it is ready.
 */
export async function untilHealthy(
  rule: HealthRule,
  check: () => Promise<HealthAnswer>,
  sleep: (ms: number) => Promise<void>,
): Promise<string | undefined> {
  let [inARow, spentMs, last] = [0, 0, ""];
  while (spentMs < rule.deadlineMs) {
    const answer = await check();
    inARow = answer.healthy ? inARow + 1 : 0;
    if (inARow >= rule.successes) return undefined;
    last = answer.said;
    spentMs += answer.spentMs + rule.intervalMs;
    await sleep(rule.intervalMs);
  }
  return last;
}
