/**
 * Registers by UDP, a datagram each way, words separated by blanks and URI-encoded: `ID GET key`, `ID SET key value
 * [operation]`, `ID CAS key old new [operation]`, `ID PING`; answered by `ID DONE|UNDONE value sequence operation`
 * (value `-` when there is none, else with `=` in front), `ID PONG` or `ID ERROR`. For the version manager: `ID
 * {"key", "value", "stamp"}` is a copy of a state, answered by `ID COPIED`; and the TCP port of the same number takes
 * a list of states and answers with the list of all.
 */
import { createSocket } from "node:dgram";
import { createServer } from "node:net";
import { exportOf } from "./http.js";
import { stampFrom } from "./registers.js";

export function serveUdp(registers, port) {
  const socket = createSocket("udp4");
  socket.on("message", (datagram, { address, port: from }) => {
    const [id, ...words] = datagram.toString().split(" ");
    const reply = words[0]?.startsWith("{") ? copy(registers, words.join(" ")) : answer(registers, words);
    socket.send(`${id} ${reply}`, from, address);
  });
  socket.bind(port);
  const lists = createServer({ allowHalfOpen: true }, (connection) => {
    let list = "";
    connection.on("error", () => connection.destroy());
    connection.setEncoding("utf8").on("data", (text) => (list += text));
    connection.on("end", () => {
      for (const line of list.split("\n").slice(0, -1)) registers.merge(...entryOf(JSON.parse(line)));
      connection.end(exportOf(registers));
    });
  });
  lists.listen(port);
  const close = () => {
    socket.close();
    lists.close();
  };
  return { drain: () => undefined, close };
}

function copy(registers, text) {
  try {
    const { key, value, stamp } = JSON.parse(text);
    registers.merge(key, { value, ...stampFrom(stamp) });
    return "COPIED";
  } catch {
    return "ERROR";
  }
}

function entryOf({ key, ...state }) {
  return [key, state];
}

function answer(registers, [verb, ...encoded]) {
  let words;
  try {
    words = encoded.map(decodeURIComponent);
  } catch {
    return "ERROR";
  }
  switch (verb) {
    case "PING":
      return "PONG";
    case "GET":
      return state(registers.get(words[0]));
    case "SET":
      return state(registers.set(...words));
    case "CAS":
      return state(registers.compareAndSet(...words));
    default:
      return "ERROR";
  }
}

function state({ done, value, sequence, operation }) {
  const shown = value === null ? "-" : `=${encodeURIComponent(value)}`;
  return `${done ? "DONE" : "UNDONE"} ${shown} ${sequence} ${encodeURIComponent(operation)}`;
}
