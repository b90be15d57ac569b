/**
 * Copies every register of the old version into this one's service: `node migrate.js http|resp|udp PORT`. What the
 * proxy gives to both versions meanwhile is newer and stays. Environment: VM_OLD_TCP_PORT (`address:port`).
 */
import { connect } from "node:net";
import { stampOf } from "./registers.js";

const [protocol, port] = process.argv.slice(2);
const old = process.env[`VM_OLD_TCP_${port}`];
if (old === undefined) throw new Error(`set VM_OLD_TCP_${port} to address:port of the old version`);

const LIMIT_MS = 30_000;
const array = (...words) =>
  `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join("")}`;

/** Sends `text` and resolves to all that comes until the peer ends or `enough` says so. */
function talk(address, text, enough = () => false) {
  const [host, port] = address.split(":");
  return new Promise((resolve, reject) => {
    let heard = "";
    const socket = connect({ host, port: Number(port), allowHalfOpen: true });
    socket.setTimeout(LIMIT_MS, () => socket.destroy(new Error(`${address} is silent`)));
    socket.setEncoding("utf8").on("error", reject);
    socket.on("data", (piece) => {
      heard += piece;
      if (enough(heard)) socket.end();
    });
    socket.on("end", () => {
      socket.end();
      resolve(heard);
    });
    if (protocol === "udp") socket.end(text);
    else socket.write(text);
  });
}

const ways = {
  http: {
    list: async () => whole(await (await fetch(`http://${old}/export`)).text()),
    async give(states) {
      for (const state of states) {
        const url = `http://127.0.0.1:${port}/registers/${state.key}`;
        const headers = { "x-stamp": stampOf(state) };
        const { status } = await fetch(url, { method: "PUT", headers, body: state.value });
        if (status !== 204) throw new Error(`${url} answered ${status}`);
      }
    },
  },
  resp: {
    async list() {
      // The list is an array of bulk strings; PING behind it tells where it ends.
      const heard = await talk(old, array("REG", "EXPORT") + array("PING"), (text) =>
        text.endsWith("+PONG\r\n"),
      );
      return lines(
        heard
          .split("\r\n")
          .filter((line) => line.startsWith("{"))
          .join("\n"),
      );
    },
    async give(states) {
      const copies = states.map((state) => array("REG", "COPY", state.key, stampOf(state), state.value));
      const heard = await talk(`127.0.0.1:${port}`, [...copies, array("PING")].join(""), (text) =>
        text.endsWith("+PONG\r\n"),
      );
      if (heard !== `${"+OK\r\n".repeat(states.length)}+PONG\r\n`)
        throw new Error(`copies were refused: ${heard}`);
    },
  },
  udp: {
    list: async () => whole(await talk(old, "")),
    async give(states) {
      const text = states.map((state) => `${JSON.stringify(state)}\n`).join("");
      const all = new Set(whole(await talk(`127.0.0.1:${port}`, text)).map(({ key }) => key));
      if (states.some(({ key }) => !all.has(key))) throw new Error("copies were not taken");
    },
  },
};

/** The states in a list whose last line says how many they are. */
function whole(text) {
  const states = lines(text);
  const count = states.pop()?.registers;
  if (count !== states.length) throw new Error(`the list broke off after ${states.length} registers`);
  return states;
}

function lines(text) {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line));
}

const { list, give } = ways[protocol];
const states = await list();
await give(states);
console.log(`${states.length} registers`);
