/** Requests without a reply: writes to all versions that run, reads to the newest. Nobody waits for what becomes of them. */
import type { Policy } from "./contract.ts";

export function sendOnly<Request, Reply>(toAll: boolean): Policy<Request, Reply> {
  return ({ versions }) => {
    if (versions.max === undefined)
      return { kind: "fail", failure: "unavailable", detail: "no version is running" };
    return { kind: "send", versions: toAll ? [...versions] : [versions.max] };
  };
}
