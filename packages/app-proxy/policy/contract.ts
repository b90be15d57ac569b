/**
 * A policy decides, for one request, which versions get it and what the client is answered. It is a pure function
 * that is asked again after everything that happens to the request.
 */
import type { FailureKind } from "../framing/contract.ts";
import type { VersionSet } from "../versions/version-set.ts";

/** What became of a request at one version. */
export type Outcome<Reply> =
  | { readonly kind: "pending" }
  | { readonly kind: "replied"; readonly reply: Reply }
  | { readonly kind: "failed"; readonly failure: FailureKind; readonly detail: string };

export interface Progress<Request, Reply> {
  readonly request: Request;
  /** Versions that ran when the request was begun and still run. */
  readonly versions: VersionSet;
  /** Of the versions that were sent the request and still run. */
  readonly outcomes: ReadonlyMap<number, Outcome<Reply>>;
}

export type Step<Reply> =
  /** Send to these versions; each may be named once per request. */
  | { readonly kind: "send"; readonly versions: readonly number[] }
  | { readonly kind: "wait" }
  /** Answer now. Replies that are still missing are awaited and dropped. */
  | { readonly kind: "answer"; readonly reply: Reply }
  | { readonly kind: "fail"; readonly failure: FailureKind; readonly detail: string };

export type Policy<Request, Reply> = (progress: Progress<Request, Reply>) => Step<Reply>;

export { ALL_KEYS, type Classified } from "../framing/classified.ts";
