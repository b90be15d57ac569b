/** What is known of a version's service, from the records of its supervisor. Pure. */
import { describeRecord, type ServiceRecord } from "./records.ts";

export interface ServiceState {
  /** `ended`: by itself, and its policy wants no restart; `failed`: it ended more often than its policy allows. */
  readonly state: "running" | "restarting" | "ended" | "stopped" | "failed";
  /** When that began, by the domain's clock, milliseconds since the epoch. */
  readonly sinceMs: number;
  /** Since the service was first started on this disk. */
  readonly restarts: number;
  /** How it ended last, for people. */
  readonly lastExit?: string;
}

/** Output changes nothing. */
export function nextState(before: ServiceState | undefined, record: ServiceRecord): ServiceState | undefined {
  const restarts = before?.restarts ?? 0;
  const kept = before?.lastExit === undefined ? {} : { lastExit: before.lastExit };
  const enter = (state: ServiceState["state"], count = restarts): ServiceState => ({
    state,
    sinceMs: record.atMs,
    restarts: count,
    ...kept,
  });
  switch (record.kind) {
    case "output":
    case "error-output":
    case "killed":
      return before;
    case "exited":
      return { ...(before ?? enter("running")), lastExit: describeRecord(record) };
    case "restarting":
      return enter("restarting", restarts + 1);
    case "started":
      return enter("running");
    case "ended":
    case "stopped":
    case "failed":
      return enter(record.kind);
  }
}

/** How many lines are missing between the last known one and the next; 0 when the numbering began anew. */
export function missedBetween(last: number, next: number): number {
  return next <= last ? 0 : next - last - 1;
}
