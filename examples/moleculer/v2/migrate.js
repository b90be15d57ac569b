/**
 * Copies what version 1 of this node holds into version 2, while clients go on: the proxy gives every write of this
 * node to both versions, so only what was written before it, or through nodes that have no proxy yet, is missing
 * here. Last writer wins, so every pass can be repeated. Environment: VM_OLD_TCP_80 (`address:port`),
 * KV_HTTP_HOST and KV_HTTP_PORT of the local service (127.0.0.1 and 80).
 *
 * It is done when a pass finds nothing new of what version 1 held when the first pass began. Newer writes through
 * nodes without a proxy arrive with the migration of those nodes.
 */
import { request } from "node:http";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";

const BATCH_CHARACTERS_MAX = 128 * 1024;
const RETRY_MS = 1000;

const oldEndpoint = process.env.VM_OLD_TCP_80;
const newEndpoint = `${process.env.KV_HTTP_HOST ?? "127.0.0.1"}:${process.env.KV_HTTP_PORT ?? 80}`;

function open(endpoint, method, path, body) {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      `http://${endpoint}${path}`,
      { method, agent: false, timeout: 60_000 },
      (response) => {
        if (response.statusCode === 200) return resolve(response);
        response.resume();
        return reject(new Error(`${method} ${endpoint}${path} answered ${response.statusCode}`));
      },
    );
    outgoing.on("error", reject);
    outgoing.on("timeout", () => outgoing.destroy(new Error(`${endpoint} is silent`)));
    outgoing.end(body);
  });
}

/** Gives the lines to the local service; resolves to the timestamps of those that it did not have. */
async function store(lines) {
  const response = await open(newEndpoint, "POST", "/import", lines.join("\n"));
  let text = "";
  for await (const chunk of response.setEncoding("utf8")) text += chunk;
  return JSON.parse(text).newTimestamps;
}

async function pass() {
  const newTimestamps = [];
  const received = [];
  let batch = [];
  let characters = 0;
  let trailer;
  const give = async () => {
    if (batch.length > 0) newTimestamps.push(...(await store(batch)));
    batch = [];
    characters = 0;
  };
  for await (const line of createInterface({ input: await open(oldEndpoint, "GET", "/export") })) {
    const entry = JSON.parse(line);
    if (entry.end === true) {
      trailer = entry;
      break;
    }
    received.push(entry.key);
    if (characters + line.length > BATCH_CHARACTERS_MAX) await give();
    batch.push(line);
    characters += line.length;
  }
  await give();
  if (trailer?.items !== received.length)
    throw new Error(`the export broke off after ${received.length} items`);
  return { items: received.length, completeTo: trailer.completeTo, newTimestamps };
}

if (oldEndpoint === undefined) {
  console.error("set VM_OLD_TCP_80 to address:port of the old version");
  process.exit(2);
}
let completeTo;
for (let number = 1; ; number += 1) {
  try {
    const { items, newTimestamps, ...first } = await pass();
    completeTo ??= first.completeTo;
    const missing = newTimestamps.filter((timestamp) => timestamp <= completeTo).length;
    console.log(
      `pass ${number}: ${items} items, ${newTimestamps.length} new, ${missing} of them older than the start`,
    );
    if (missing === 0) break;
  } catch (error) {
    console.error(`pass ${number}: ${error.message}; trying again`);
    await sleep(RETRY_MS);
  }
}
