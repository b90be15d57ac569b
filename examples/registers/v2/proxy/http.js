/** HTTP clients see one register service. The oldest version decides, version 2 copies what it decided. */
import { isNew, operationNames, stampOf } from "./state.js";

const OWN_HEADERS = ["x-operation", "x-sequence", "x-stamp"];

export default ({ createHttpProxy, headerOf, oldestDecides, plainReply }) => {
  const nameOf = operationNames();
  const isRegister = ({ target }) => target.startsWith("/registers/");
  const without = (message) => message.headers.filter(([name]) => !OWN_HEADERS.includes(name.toLowerCase()));

  function copy(reply, request, version) {
    const sequence = headerOf(reply, "x-sequence");
    // An error, or nothing was ever written.
    if (sequence === undefined || sequence === "0") return undefined;
    const operation = headerOf(reply, "x-operation") ?? "";
    const headers = isNew(version)
      ? [["x-stamp", stampOf({ sequence, operation })]]
      : [
          ["x-sequence", sequence],
          ["x-operation", operation],
        ];
    const host = ["host", headerOf(request, "host") ?? "registers"];
    return { ...request, method: "PUT", headers: [host, ...headers], body: reply.body };
  }

  const { reads, writes, transformRequest } = oldestDecides({
    ask: (request) =>
      request.method === "PUT"
        ? { ...request, headers: [...without(request), ["x-operation", nameOf(request)]] }
        : request,
    copy,
    isCopied: (reply) => reply.status === 204,
    answer: (reply) => ({ ...reply, headers: without(reply) }),
  });
  /** The versions take this process for the version manager: what only that may ask is not for clients. */
  const forClients = (policy) => (progress) =>
    isRegister(progress.request) && ["GET", "PUT"].includes(progress.request.method)
      ? policy(progress)
      : { kind: "answer", reply: plainReply(403, "not for clients") };

  return createHttpProxy({
    classify: ({ method, target }) => ({ kind: method === "GET" ? "read" : "write", key: target }),
    reads: forClients(reads),
    writes: forClients(writes),
    transformRequest,
  });
};
