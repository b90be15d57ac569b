/**
 * Registers by UDP, a datagram each way, words separated by blanks and URI-encoded: `ID GET key`, `ID SET key value
 * [operation]`, `ID CAS key old new [operation]`, `ID PING`; answered by `ID DONE|UNDONE value sequence operation`
 * (value `-` when there is none, else with `=` in front), `ID PONG` or `ID ERROR`. For the version manager: `ID COPY
 * key value sequence operation`, and a list of all states for whoever connects to the TCP port of the same number.
 */
import { createSocket } from "node:dgram";
import { createServer } from "node:net";
import { exportOf } from "./http.js";

export function serveUdp(registers, port) {
  const socket = createSocket("udp4");
  socket.on("message", (datagram, { address, port: from }) => {
    const [id, ...words] = datagram.toString().split(" ");
    socket.send(`${id} ${answer(registers, words)}`, from, address);
  });
  socket.bind(port);
  const lists = createServer((connection) => {
    connection.on("error", () => connection.destroy());
    connection.end(exportOf(registers));
  });
  lists.listen(port);
  const close = () => {
    socket.close();
    lists.close();
  };
  return { drain: () => undefined, close };
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
    case "COPY": {
      const [key, value, sequence, operation] = words;
      registers.merge(key, { value, sequence: Number(sequence), operation });
      return "COPIED";
    }
    default:
      return "ERROR";
  }
}

function state({ done, value, sequence, operation }) {
  const shown = value === null ? "-" : `=${encodeURIComponent(value)}`;
  return `${done ? "DONE" : "UNDONE"} ${shown} ${sequence} ${encodeURIComponent(operation)}`;
}
