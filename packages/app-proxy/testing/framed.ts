/** Fake versions that speak any framing, and a reader of what a client got. */
import { PeekBuffer } from "../buffer/peek-buffer.ts";
import type { Framing } from "../framing/contract.ts";
import type { FakeServer, ServerSide } from "./contract.ts";

/**
 * Answers each request by `answer`: with a reply, or bytes as they are; "reset" breaks the connection instead, "hang"
 * answers neither this nor what follows, undefined is for requests without a reply.
 */
export function framedServer<Request, Reply>(
  side: ServerSide,
  framing: Framing<Request, Reply>,
  answer: (request: Request, version: number) => Reply | "reset" | "hang" | undefined,
): FakeServer {
  const input = new PeekBuffer();
  const reader = framing.requestReader();
  let hanging = false;
  return {
    data(bytes) {
      input.append(bytes);
      while (!hanging && input.length > 0) {
        const frame = reader.read(input);
        if (frame.kind === "refused") throw new Error(`a version got what is no request: ${frame.why}`);
        if (frame.kind === "incomplete") return;
        input.discard(frame.bytes);
        if (frame.kind === "skip") continue;
        const reply = answer(frame.message, side.version);
        if (reply === "reset") return side.reset();
        hanging = reply === "hang";
        if (reply === "hang" || reply === undefined) continue;
        side.send(Buffer.concat(framing.encodeReply(reply, frame.message, false)));
      }
    },
  };
}

/** The replies in a client's stream, to these requests in order. Throws when it is no such stream. */
export function framedReplies<Request, Reply>(
  stream: Uint8Array,
  framing: Framing<Request, Reply>,
  requests: readonly Request[],
): Reply[] {
  const input = new PeekBuffer(stream);
  const reader = framing.replyReader();
  const replies: Reply[] = [];
  while (input.length > 0) {
    const request = requests[replies.length];
    if (request === undefined)
      throw new Error(`more replies than requests: ${input.read().toString("latin1")}`);
    const frame = reader.read(input, request, true);
    if (frame.kind === "incomplete" || frame.kind === "refused")
      throw new Error(`no whole reply: ${frame.kind}`);
    input.discard(frame.bytes);
    if (frame.kind === "message") replies.push(frame.message);
  }
  return replies;
}
