/** Bounds of the supervision of a proxy process. */

export interface SupervisionLimits {
  /** `--max-old-space-size` of the process, MiB. Default 256. */
  readonly memoryMiB: number;
  /** Milliseconds until a started process must serve. Default 60,000: a node may be busy booting domains. */
  readonly startTimeoutMs: number;
  /** Milliseconds for requests begun under other versions to end. Default 40,000, more than their own deadline. */
  readonly settleTimeoutMs: number;
  /** How often a process is asked whether it lives, and how long it may take to answer. Default 10,000 and 30,000. */
  readonly aliveIntervalMs: number;
  readonly aliveTimeoutMs: number;
}

export const DEFAULT_SUPERVISION: SupervisionLimits = {
  memoryMiB: 256,
  startTimeoutMs: 60_000,
  settleTimeoutMs: 40_000,
  aliveIntervalMs: 10_000,
  aliveTimeoutMs: 30_000,
};
