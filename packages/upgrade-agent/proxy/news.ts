/** What proxy processes tell besides their status, checked: the process runs other people's code. */
import { z } from "zod";
import type { ComparisonReport } from "@version-manager/app-proxy/compare";

const version = z.int().min(1).max(0x0fff_ffff);
const text = (charactersMax: number) => z.string().transform((value) => value.slice(0, charactersMax));
const count = z.int().nonnegative();
const share = z.number().min(0).max(1);

const eventsSchema = z.object({
  events: z
    .array(
      z.object({
        number: z.int().min(1),
        at: z.iso.datetime(),
        kind: z.enum(["version-quarantined", "version-readmitted"]),
        version,
        detail: text(500),
      }),
    )
    .max(1_000),
});

export interface ProxyNews {
  /** Tells the processes of a service apart. */
  readonly process: string;
  /** Oldest first. */
  readonly events: z.infer<typeof eventsSchema>["events"];
}

export function eventsOf(answer: unknown): ProxyNews["events"] {
  return eventsSchema.parse(answer).events;
}

const rate = z.object({ count, of: count, rate: share, low: share, high: share, atMost: share });

const report = z.object({
  baseline: version,
  candidate: version,
  confidence: share,
  verdicts: z.object({ same: count, noise: count, different: count, failed: count, missing: count }),
  compared: count,
  dropped: count,
  unanswered: count,
  failedAt: z.object({ baseline: count, candidate: count }),
  difference: rate,
  chance: rate,
  chanceLost: count,
  fields: z
    .array(
      z.object({
        path: text(220),
        verdict: z.enum(["different", "noise", "more-than-noise"]),
        differing: rate,
        byChance: rate,
        proven: z.boolean(),
      }),
    )
    .max(64),
  overflow: count,
  samples: z
    .array(
      z.object({
        request: text(200),
        atMs: z.number(),
        paths: z
          .array(
            z.object({
              path: text(220),
              baseline: text(4_096).exactOptional(),
              candidate: text(4_096).exactOptional(),
            }),
          )
          .max(16),
      }),
    )
    .max(32),
});

const comparisonsSchema = z.object({ comparisons: z.array(report).max(16) });

export function comparisonsOf(answer: unknown): readonly ComparisonReport[] {
  return comparisonsSchema.parse(answer).comparisons;
}
