/** What the bench and its worker on the node say to each other: one JSON object per line, either way. */

/** How a domain comes to its disk and to life. */
export type Way = "copy" | "overlay" | "spare" | "lxc";

export interface Work {
  /** `disks`: only make them and take them away; `domains`: the whole way to a service that answers. */
  readonly kind: "disks" | "domains";
  readonly way: Way;
  /** So many at once, 1 to 12. */
  readonly count: number;
}

/** What one domain passes on its way, in this order. */
export const MARKS = ["disk", "link", "running", "port", "ssh", "copied", "started", "answered"] as const;
export type Mark = (typeof MARKS)[number];

/** Milliseconds since all of them were begun. */
export type Passage = Readonly<Record<Mark, number>>;

export type Answer =
  | { readonly ok: true; readonly kind: "disks"; readonly allMs: number }
  | {
      readonly ok: true;
      readonly kind: "domains";
      readonly passages: readonly Passage[];
      /** What did not go straight: a clone that was booted instead, a start that was tried again. */
      readonly detours: readonly string[];
    }
  /** Before the first work: what it takes to read the figures. */
  | { readonly ok: true; readonly kind: "ready"; readonly imageBytes: number }
  | { readonly ok: false; readonly message: string };
