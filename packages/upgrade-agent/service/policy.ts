/** What a manifest says of restarts and stopping, with every default filled in, in the supervisor's words. Pure. */
import type { Manifest } from "../release/contract.ts";

/** All times in milliseconds. docs/MANIFEST.md says what each is for. */
export interface RestartPolicy {
  readonly policy: "no" | "on-failure" | "always";
  readonly delayMs: number;
  readonly delayMaxMs: number;
  readonly windowMs: number;
  readonly restartsMax: number;
}

/** Five restarts with pauses of 1, 2, 4, 8 and 16 s: a service that ends at once has failed after about half a minute. */
const restartDefault: RestartPolicy = {
  policy: "on-failure",
  delayMs: 1_000,
  delayMaxMs: 30_000,
  windowMs: 300_000,
  restartsMax: 5,
};

const stopTimeoutMsDefault = 10_000;
/** However long a stop hook was given: a retirement has to come to an end. */
const stopTimeoutMsMost = 600_000;

export function restartPolicyOf({ restart = {} }: Pick<Manifest, "restart">): RestartPolicy {
  const policy = { ...restartDefault, ...restart };
  return { ...policy, delayMaxMs: Math.max(policy.delayMs, policy.delayMaxMs) };
}

/** How long the service may take to stop; a stop hook that was given longer has what it was given. */
export function stopTimeoutOf({ stopTimeoutMs, hooks }: Pick<Manifest, "stopTimeoutMs" | "hooks">): number {
  return Math.min(stopTimeoutMs ?? hooks.stop?.timeoutMs ?? stopTimeoutMsDefault, stopTimeoutMsMost);
}

/** Options of `vm-supervise start`, as words. The commands do not fit in among them. */
export function supervisorOptions(
  manifest: Pick<Manifest, "restart" | "stopTimeoutMs" | "hooks">,
  directory: string,
): string[] {
  const { policy, delayMs, delayMaxMs, windowMs, restartsMax } = restartPolicyOf(manifest);
  const words = {
    "--restart": policy,
    "--delay-ms": delayMs,
    "--delay-max-ms": delayMaxMs,
    "--window-ms": windowMs,
    "--restarts-max": restartsMax,
    "--stop-ms": stopTimeoutOf(manifest),
    "--directory": directory,
  };
  return Object.entries(words).flatMap(([name, value]) => [name, String(value)]);
}
