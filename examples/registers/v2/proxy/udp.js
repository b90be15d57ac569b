/** UDP clients see one register service. The oldest version decides, version 2 copies what it decided. */
import { isNew, operationNames, stampOf } from "./state.js";

/** What clients may say: how many words before the name of the operation. */
const VERBS = {
  GET: { words: 2, kind: "read" },
  SET: { words: 3, kind: "write" },
  CAS: { words: 4, kind: "write" },
};

function decode(datagram) {
  const [id, ...words] = datagram.toString().split(" ");
  return words.length === 0 ? undefined : { id, words };
}

function encode({ id, words }) {
  return Buffer.from([id, ...words].join(" "));
}

export default ({ createProxy, datagramFraming, oldestDecides }) => {
  const nameOf = operationNames();
  const verbOf = ({ words }) => (VERBS[words[0]]?.words === words.length ? VERBS[words[0]] : undefined);

  function copy({ words: [verdict, shown, sequence, operation] }, { id, words: [, key] }, version) {
    if (!["DONE", "UNDONE"].includes(verdict) || sequence === "0") return undefined;
    const value = shown.slice(1);
    if (!isNew(version)) return { id, words: ["COPY", key, value, sequence, operation] };
    const state = {
      key: decodeURIComponent(key),
      value: decodeURIComponent(value),
      stamp: stampOf({ sequence, operation: decodeURIComponent(operation) }),
    };
    return { id, words: [JSON.stringify(state)] };
  }

  const { reads, writes, transformRequest } = oldestDecides({
    ask: (request) => {
      const words = request.words[0] === "GET" ? request.words : [...request.words, nameOf(request)];
      return { id: request.id, words };
    },
    copy,
    isCopied: ({ words: [verdict] }) => verdict === "COPIED",
  });
  const forClients = (policy) => (progress) => {
    const { id } = progress.request;
    if (verbOf(progress.request) !== undefined) return policy(progress);
    const isPing = progress.request.words[0] === "PING";
    return { kind: "answer", reply: { id, words: [isPing ? "PONG" : "ERROR"] } };
  };

  const datagrams = createProxy({
    framing: datagramFraming({
      decodeRequest: decode,
      decodeReply: decode,
      encodeRequest: encode,
      encodeReply: encode,
      idOf: { request: ({ id }) => id, reply: ({ id }) => id },
    }),
    classify: (request) => ({ kind: verbOf(request)?.kind ?? "read", key: request.words[1] }),
    reads: forClients(reads),
    writes: forClients(writes),
    transformRequest,
  });
  // The TCP port is for the migrator, which does not come through here: clients find it closed.
  const closed = (_version, buffer, connection) => {
    connection.endClient();
    return buffer.length;
  };
  const clientEnded = (connection) => connection.endClient();
  return { handleRequest: closed, handleReply: closed, clientEnded, datagrams };
};
