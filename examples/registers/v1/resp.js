/**
 * Registers by RESP: PING, GET key, SET key value, CAS key old new (a pair: 1 or 0, and what the register holds now).
 * For the version manager: REG GET|SET|CAS with the write's identity as the last word, answered by done, value,
 * sequence, operation; REG COPY key value sequence operation; REG EXPORT.
 */
import { createServer } from "node:net";

const REQUEST_BYTES_MAX = 64 * 1024;

export function serveResp(registers, port) {
  const server = createServer((socket) => {
    let input = "";
    // Bytes as characters: lengths on the wire are bytes.
    socket.setEncoding("latin1");
    socket.setNoDelay(true);
    socket.on("error", () => socket.destroy());
    socket.on("data", (text) => {
      input += text;
      const replies = [];
      for (let taken = take(input); taken !== undefined; taken = take(input)) {
        input = input.slice(taken.length);
        replies.push(encode(answer(registers, taken.words)));
      }
      if (replies.length > 0) socket.write(replies.join(""), "latin1");
      if (input.length > REQUEST_BYTES_MAX) socket.destroy();
    });
  });
  server.listen(port);
  // RESP has no word for "this was the last reply": clients end their connections themselves.
  return { drain: () => undefined, close: () => server.close() };
}

/** The first whole request of `input`, an array of bulk strings; undefined while it is not whole. */
function take(input) {
  const head = /^\*(\d+)\r\n/.exec(input);
  if (head === null) return undefined;
  const words = [];
  let at = head[0].length;
  for (let left = Number(head[1]); left > 0; left -= 1) {
    const end = input.indexOf("\r\n", at);
    if (end < 0) return undefined;
    const length = Number(input.slice(at + 1, end));
    if (input.length < end + 2 + length + 2) return undefined;
    words.push(input.slice(end + 2, end + 2 + length));
    at = end + 2 + length + 2;
  }
  return { words, length: at };
}

function answer(registers, [name = "", ...words]) {
  const command = name.toUpperCase();
  const [key, first, second] = words;
  if (command === "PING") return { simple: "PONG" };
  if (command === "GET" && words.length === 1) return registers.get(key).value;
  if (command === "SET" && words.length === 2) {
    registers.set(key, first);
    return { simple: "OK" };
  }
  if (command === "CAS" && words.length === 3) {
    const { done, value } = registers.compareAndSet(key, first, second);
    return [done ? 1 : 0, value];
  }
  if (command === "REG") return managed(registers, words);
  return { error: `ERR unknown command or wrong number of words: ${command}` };
}

function managed(registers, [what = "", key, ...words]) {
  const state = ({ done, value, sequence, operation }) => [done ? 1 : 0, value, sequence, operation];
  switch (what.toUpperCase()) {
    case "GET":
      return state(registers.get(key));
    case "SET":
      return state(registers.set(key, ...words));
    case "CAS":
      return state(registers.compareAndSet(key, ...words));
    case "COPY": {
      const [value, sequence, operation] = words;
      registers.merge(key, { value, sequence: Number(sequence), operation });
      return { simple: "OK" };
    }
    case "EXPORT":
      return Array.from(registers, (entry) => JSON.stringify(entry));
    default:
      return { error: "ERR unknown command" };
  }
}

function encode(value) {
  if (value === null) return "$-1\r\n";
  if (typeof value === "number") return `:${value}\r\n`;
  if (typeof value === "string") return `$${value.length}\r\n${value}\r\n`;
  if (Array.isArray(value)) return `*${value.length}\r\n${value.map(encode).join("")}`;
  return value.error === undefined ? `+${value.simple}\r\n` : `-${value.error}\r\n`;
}
