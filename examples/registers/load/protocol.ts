/** What the load asks of a register service, and how its three protocols say it. */
import type { Value } from "../../linearizability/history.ts";

export type Request =
  | { readonly kind: "read"; readonly key: string }
  | { readonly kind: "write"; readonly key: string; readonly value: string }
  | { readonly kind: "cas"; readonly key: string; readonly expected: string; readonly value: string };

export type Reply =
  /** `value`: what the register holds now, where the protocol says so. */
  | { readonly kind: "state"; readonly done: boolean; readonly value?: Value }
  /** The service says that it failed; whether the request was done is unknown. */
  | { readonly kind: "error"; readonly text: string }
  /** Not a reply to this request. */
  | { readonly kind: "misplaced"; readonly text: string };

/** A protocol on a stream, with replies in the order of the requests. */
export interface Protocol {
  /** `id`: of the request, unique on its connection; goes on the wire where the protocol has room for it. */
  readonly encode: (request: Request, id: number) => string;
  /** The reply at the beginning of `input`, judged as the one to this request; undefined while it is not whole. */
  readonly take: (input: string, request: Request, id: number) => Taken | undefined;
}

export interface Taken {
  readonly reply: Reply;
  readonly length: number;
  /** The server takes no further request on this connection. */
  readonly last?: boolean;
}

/** Every value begins with its key, so that another key's value is known for what it is. */
export function valueOf(key: string, name: string): string {
  return `${key}:${name}`;
}

/** Judges what a service said that a register holds. */
export function stateReply(request: Request, done: boolean, value: Value): Reply {
  const belongs = value === null || value.startsWith(`${request.key}:`);
  const isOwn = request.kind === "read" || !done || value === request.value;
  if (belongs && isOwn) return { kind: "state", done, value };
  return { kind: "misplaced", text: `${JSON.stringify(value)} for ${JSON.stringify(request)}` };
}
