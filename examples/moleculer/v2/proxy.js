/**
 * What clients of this node see while several versions run: one service. The version manager loads this module into
 * its proxy process and hands it the toolkit of its proxy framework.
 *
 * A write goes to the oldest version first, then to the others under the timestamp that it got there, and succeeds
 * only if all take it. So the oldest version knows every acknowledged write, through whichever node and whether that
 * node has a proxy yet; and what newer versions hold is filed as the oldest one files it, so the migrator's copies and
 * the proxy's writes cannot overtake each other. A read asks all and answers with the newest item.
 */
const isItem = (request) => request.target.startsWith("/kv/");
const isPublic = (request) => isItem(request) || request.target === "/health" || request.target === "/stats";

export default ({
  createHttpProxy,
  headerOf,
  httpReadNewestThenOlder,
  plainReply,
  readAllChoose,
  writeAll,
}) => {
  const timestampOf = (message) => Number(headerOf(message, "x-timestamp"));

  const timestamps = new WeakMap();
  const writeToAll = writeAll({ isSuccess: (reply) => reply.status === 200 });
  function writeOldestFirst(progress) {
    const { request, versions, outcomes } = progress;
    if (outcomes.size === 0) return { kind: "send", versions: [...versions].slice(0, 1) };
    const unsent = [...versions].filter((version) => !outcomes.has(version));
    const [oldest] = outcomes.values();
    if (unsent.length === 0 || oldest.kind !== "replied" || oldest.reply.status !== 200)
      return writeToAll(progress);
    timestamps.set(request, timestampOf(oldest.reply));
    return { kind: "send", versions: unsent };
  }
  function withTimestamp(request) {
    const timestamp = timestamps.get(request);
    if (timestamp === undefined) return request;
    const others = request.headers.filter(([name]) => name.toLowerCase() !== "x-timestamp");
    return { ...request, headers: [...others, ["x-timestamp", String(timestamp)]] };
  }

  const readAll = readAllChoose({
    choose: (newestFirst) => {
      const oldest = newestFirst.at(-1).reply;
      if (oldest.status !== 200 && oldest.status !== 404) return oldest;
      const found = newestFirst.map(({ reply }) => reply).filter((reply) => reply.status === 200);
      return found.reduce(
        (best, reply) => (timestampOf(reply) > timestampOf(best) ? reply : best),
        found[0] ?? oldest,
      );
    },
  });
  /** Without an answer of the oldest version nobody knows what the newest value is. */
  function readItem(progress) {
    const oldest = progress.outcomes.get(progress.versions.min);
    const step = readAll(progress);
    if (step.kind !== "answer" || oldest?.kind !== "failed") return step;
    return { kind: "fail", failure: oldest.failure, detail: oldest.detail };
  }

  /** The domains take this process for their host: what only the host may ask is not for clients. */
  function forClients(policy) {
    const refusal = { kind: "answer", reply: plainReply(403, "not for clients") };
    return (progress) => (isPublic(progress.request) ? policy(progress) : refusal);
  }

  const readNewest = httpReadNewestThenOlder();
  return createHttpProxy({
    classify: ({ method, target }) => ({
      kind: method === "GET" ? "read" : "write",
      key: target.split("?", 1)[0],
    }),
    writes: forClients(writeOldestFirst),
    reads: forClients((progress) => (isItem(progress.request) ? readItem(progress) : readNewest(progress))),
    transformRequest: withTimestamp,
  });
};
