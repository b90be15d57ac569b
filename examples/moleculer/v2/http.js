/**
 * What clients see: PUT and GET of /kv/KEY, /health, /stats; /import for this version's migrator, and /export for the
 * migrator of a later version.
 */
import { createServer } from "node:http";
import { Connections } from "./connections.js";

const VALUE_BYTES_MAX = 64 * 1024;
const IMPORT_BYTES_MAX = 1024 * 1024;
const KEY_CHARACTERS_MAX = 256;
const ITEMS_MAX = 100_000;
/** A timestamp further ahead of this node's clock would push everyone's clock there. */
const AHEAD_MS_MAX = 3_600_000;
/** While draining: a connection that was idle for so long is ended, and how often that is looked at. */
const DRAIN_IDLE_MS = 2000;
const DRAIN_CHECK_MS = 250;

class Refusal extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

async function readText(request, bytesMax) {
  const chunks = [];
  let bytes = 0;
  // Not destroyed on the way out: the refusal still has to reach the client.
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    bytes += chunk.length;
    if (bytes > bytesMax) throw new Refusal(413, "E_TOO_LARGE", `send at most ${bytesMax} bytes`);
    chunks.push(chunk);
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(chunks));
  } catch {
    throw new Refusal(400, "E_BAD_VALUE", "a value is text in UTF-8");
  }
}

function keyOf(path) {
  let key = "";
  try {
    key = decodeURIComponent(path.slice("/kv/".length));
  } catch {
    key = "";
  }
  if (key === "" || key.length > KEY_CHARACTERS_MAX) {
    throw new Refusal(400, "E_BAD_KEY", `a key has 1 to ${KEY_CHARACTERS_MAX} characters`);
  }
  return key;
}

function itemOf(line) {
  try {
    const { key, value, timestamp, node } = JSON.parse(line);
    const texts = [key, value, node].every((text) => typeof text === "string");
    if (texts && Number.isSafeInteger(timestamp)) return { key, value, timestamp, node };
  } catch {
    // Refused below, like a line of the wrong shape.
  }
  throw new Refusal(400, "E_BAD_ITEM", "send one item {key, value, timestamp, node} per line");
}

/** The write's timestamp in µs: from the request's `x-timestamp`, so that several versions agree on it, or a new one. */
function timestampOf(request, store, key) {
  const given = request.headers["x-timestamp"];
  if (given === undefined) return store.nextTimestamp(Date.now());
  const timestamp = /^\d{1,16}$/.test(given) ? Number(given) : 0;
  if (timestamp < 1 || timestamp > (Date.now() + AHEAD_MS_MAX) * 1000) {
    throw new Refusal(
      400,
      "E_BAD_TIMESTAMP",
      "x-timestamp is microseconds since 1970, at most an hour ahead",
    );
  }
  return store.timestampFrom(timestamp, key);
}

export class HttpServer {
  #store;
  #cluster;
  #config;
  #server;
  #connections;
  #draining = false;
  ready = false;

  /** `config.hostAddresses` may read /export; connections from them are not clients' and are not drained. */
  constructor(store, cluster, config) {
    this.#store = store;
    this.#cluster = cluster;
    this.#config = config;
    this.#server = createServer((request, response) => void this.#serve(request, response));
    this.#connections = new Connections(this.#server);
    // Clients recycle connections; a server that closes idle ones sooner would race with their next request.
    this.#server.keepAliveTimeout = 120_000;
  }

  /** Resolves to the port. */
  listen(host, port) {
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject).listen(port, host, () => resolve(this.#server.address().port));
    });
  }

  /** From now on every answer to a client ends its connection, and clients' idle connections are ended. */
  drain() {
    if (this.#draining) return;
    this.#draining = true;
    const { hostAddresses } = this.#config;
    setInterval(() => this.#connections.endIdle(DRAIN_IDLE_MS, hostAddresses), DRAIN_CHECK_MS).unref();
  }

  /** Ends when the requests under way are answered. */
  close() {
    this.ready = false;
    this.drain();
    return new Promise((resolve) => {
      this.#server.close(resolve);
      setInterval(() => this.#server.closeIdleConnections(), DRAIN_CHECK_MS).unref();
    });
  }

  #isHost(request) {
    return this.#config.hostAddresses.includes(request.socket.remoteAddress);
  }

  #answer(response, status, body, headers = {}) {
    const text = typeof body === "string" ? body : `${JSON.stringify(body)}\n`;
    const type = typeof body === "string" ? "text/plain; charset=utf-8" : "application/json";
    response.writeHead(status, {
      "content-type": type,
      "content-length": Buffer.byteLength(text),
      ...headers,
    });
    response.end(text);
  }

  async #serve(request, response) {
    if (this.#draining && !this.#isHost(request)) response.setHeader("connection", "close");
    try {
      // Taken literally: /kv/../export is a key, not a way round the proxy.
      await this.#route(request, response, request.url.split("?", 1)[0]);
    } catch (error) {
      const status = error.status ?? 500;
      if (status === 500) console.error(error);
      if (response.headersSent) response.destroy();
      else {
        // The rest of the body would be taken for the next request.
        if (status === 413) response.setHeader("connection", "close");
        this.#answer(response, status, { code: error.code ?? "E_INTERNAL", message: error.message });
      }
    }
  }

  async #route(request, response, path) {
    const route = `${request.method} ${path.startsWith("/kv/") ? "/kv/" : path}`;
    if (route === "GET /stats") return this.#answer(response, 200, this.#stats());
    if (route === "GET /export") return this.#export(request, response);
    if (!this.ready) throw new Refusal(503, "E_NOT_READY", "this node is joining or leaving; ask another");
    if (route === "GET /health") return this.#answer(response, 200, { status: "ok" });
    if (route === "GET /kv/") return this.#get(response, keyOf(path));
    if (route === "POST /import") return this.#import(request, response);
    if (route === "PUT /kv/") return this.#put(request, response, keyOf(path));
    throw new Refusal(404, "E_NO_ROUTE", "use PUT or GET /kv/KEY, GET /health, GET /stats");
  }

  #get(response, key) {
    const item = this.#store.get(key);
    if (item === undefined) throw new Refusal(404, "E_NO_KEY", "no such key");
    this.#answer(response, 200, item.value, { "x-timestamp": item.timestamp });
  }

  async #put(request, response, key) {
    const value = await readText(request, VALUE_BYTES_MAX);
    if (this.#store.size >= ITEMS_MAX && this.#store.get(key) === undefined) {
      throw new Refusal(507, "E_FULL", `this service holds at most ${ITEMS_MAX} items`);
    }
    const item = {
      key,
      value,
      timestamp: timestampOf(request, this.#store, key),
      node: this.#cluster.nodeID,
    };
    this.#store.merge(item);
    const winner = this.#store.get(key);
    await this.#cluster.replicate([winner]);
    this.#answer(response, 200, { timestamp: winner.timestamp }, { "x-timestamp": winner.timestamp });
  }

  /**
   * Takes a batch of an export and answers with the timestamps of what was new here. All of the batch goes to the
   * replicas, so that a repetition after a failure leaves none of them behind.
   */
  async #import(request, response) {
    // Proxied clients come from the host's address: nothing but a program in this domain may import.
    if (request.socket.remoteAddress !== "127.0.0.1")
      throw new Refusal(403, "E_FORBIDDEN", "import from inside");
    const lines = (await readText(request, IMPORT_BYTES_MAX)).split("\n").filter((line) => line !== "");
    const items = lines.map(itemOf);
    const newItems = items.filter((item) => this.#store.merge(item));
    if (items.length > 0) await this.#cluster.replicate(items);
    this.#answer(response, 200, { newTimestamps: newItems.map((item) => item.timestamp) });
  }

  #stats() {
    const { version, label } = this.#config.release;
    return {
      service: "kv",
      version,
      label,
      nodeID: this.#cluster.nodeID,
      ...this.#cluster.versions,
      ready: this.ready,
      draining: this.#draining,
      items: this.#store.size,
      digest: this.#store.digest(),
      live: this.#cluster.live(),
      heard: this.#cluster.heard.list(),
      rssBytes: process.memoryUsage.rss(),
      uptimeMs: Math.round(performance.now()),
    };
  }

  /** One item per line, then a line that says how many there were and up to which timestamp (µs) they are complete. */
  async #export(request, response) {
    if (!this.#isHost(request)) throw new Refusal(403, "E_FORBIDDEN", "only this node's host may export");
    const completeTo = this.#store.nextTimestamp(Date.now());
    response.writeHead(200, { "content-type": "application/x-ndjson" });
    let items = 0;
    for (const item of this.#store) {
      items += 1;
      if (!response.write(`${JSON.stringify(item)}\n`)) {
        await new Promise((resolve) => response.once("drain", resolve).once("close", resolve));
        if (response.destroyed) return;
      }
    }
    response.end(`${JSON.stringify({ end: true, items, completeTo })}\n`);
  }
}
