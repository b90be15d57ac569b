/** RESP clients see one register service. The oldest version decides, version 2 copies what it decided. */
import { isNew, operationNames, stampOf } from "./state.js";

/** What clients may say: how many words, and what the deciding reply (done, value, stamp) is in their protocol. */
const COMMANDS = {
  GET: { words: 2, kind: "read", reply: ({ value }) => value },
  SET: { words: 3, kind: "write", reply: () => "OK" },
  CAS: { words: 4, kind: "write", reply: ({ done, value }) => [done, value] },
};

export default ({
  createProxy,
  oldestDecides,
  respDecode,
  respEncode,
  RespError,
  respFraming,
  respRequest,
}) => {
  const nameOf = operationNames();
  const commandOf = ({ name, words }) =>
    COMMANDS[name]?.words === words.length ? COMMANDS[name] : undefined;

  /** Undefined for an error. Version 2 says the stamp in one word. */
  function stateIn(reply) {
    const state = respDecode(reply);
    if (!Array.isArray(state)) return undefined;
    const [done, value, first, second] = state;
    if (second !== undefined) return { done, value, sequence: Number(first), operation: String(second) };
    const [sequence, operation] = String(first).split("/");
    return { done, value, sequence: Number(sequence), operation };
  }

  function copy(reply, { words: [, key] }, version) {
    const state = stateIn(reply);
    if (state === undefined || state.sequence === 0) return undefined;
    const { value, sequence, operation } = state;
    return isNew(version)
      ? respRequest("REG", "COPY", key, stampOf(state), value)
      : respRequest("REG", "COPY", key, value, String(sequence), operation);
  }

  const { reads, writes, transformRequest } = oldestDecides({
    ask: (request) => {
      const words = request.name === "GET" ? request.words : [...request.words, nameOf(request)];
      return respRequest("REG", ...words);
    },
    copy,
    isCopied: (reply) => respDecode(reply) === "OK",
    answer: (reply, request) => {
      const state = stateIn(reply);
      return state === undefined ? reply : respEncode(commandOf(request).reply(state));
    },
  });
  const forClients = (policy) => (progress) => {
    const { request } = progress;
    if (request.name === "PING") return { kind: "answer", reply: respEncode("PONG") };
    if (commandOf(request) !== undefined) return policy(progress);
    return { kind: "answer", reply: respEncode(new RespError("ERR not a command of this service")) };
  };

  return createProxy({
    framing: respFraming(),
    classify: (request) => ({ kind: commandOf(request)?.kind ?? "read", key: request.words[1]?.toString() }),
    reads: forClients(reads),
    writes: forClients(writes),
    transformRequest,
  });
};
