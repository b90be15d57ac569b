/** The service's datagrams: words, the request's id first. */
import { stateReply, type Reply, type Request } from "./protocol.ts";

export function encodeDatagram(request: Request, id: string): string {
  const words =
    request.kind === "read"
      ? ["GET", request.key]
      : request.kind === "write"
        ? ["SET", request.key, request.value]
        : ["CAS", request.key, request.expected, request.value];
  return [id, ...words.map((word) => encodeURIComponent(word))].join(" ");
}

export function idOf(datagram: string): string {
  return datagram.split(" ", 1)[0] ?? "";
}

/** A datagram with the id of this request. */
export function decodeDatagram(datagram: string, request: Request): Reply {
  const [, verdict = "", shown = ""] = datagram.split(" ");
  if (verdict !== "DONE" && verdict !== "UNDONE") return { kind: "error", text: datagram };
  const value = shown === "-" ? null : decodeURIComponent(shown.slice(1));
  return stateReply(request, verdict === "DONE", value);
}
