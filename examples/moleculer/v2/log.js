/**
 * Keeps items across restarts: `items.v2.ndjson` in the data directory, one item per line as an array
 * [key, value, timestamp, node], half the size of version 1's objects; later lines win. Where it is missing, version
 * 1's `items.ndjson` is read instead. It is rewritten when most of its lines are stale. No fsync: the replicas are
 * what protects against a lost node.
 */
import {
  createWriteStream,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";

const STALE_LINES_MAX = 10_000;

const lineOf = ({ key, value, timestamp, node }) => `${JSON.stringify([key, value, timestamp, node])}\n`;

function itemOf(line) {
  const parsed = JSON.parse(line);
  if (!Array.isArray(parsed)) return parsed;
  const [key, value, timestamp, node] = parsed;
  return { key, value, timestamp, node };
}

export class ItemLog {
  #file;
  #versionOneFile;
  #stream;
  #lines = 0;

  constructor(directory) {
    mkdirSync(directory, { recursive: true });
    this.#file = join(directory, "items.v2.ndjson");
    this.#versionOneFile = join(directory, "items.ndjson");
  }

  /** Items as they were written. A last line cut short by a crash is left out: it was never acknowledged. */
  *load() {
    const file = [this.#file, this.#versionOneFile].find((name) => existsSync(name));
    if (file === undefined) return;
    for (const line of readFileSync(file, "utf8").split("\n")) {
      try {
        yield itemOf(line);
      } catch {
        continue;
      }
    }
  }

  /** Rewrites the file with what is in `store` and goes on appending to it. */
  open(store) {
    const lines = Array.from(store, lineOf);
    writeFileSync(`${this.#file}.new`, lines.join(""));
    this.#stream?.end();
    renameSync(`${this.#file}.new`, this.#file);
    this.#stream = createWriteStream(this.#file, { fd: openSync(this.#file, "a") });
    this.#lines = lines.length;
  }

  append(item, store) {
    this.#stream.write(lineOf(item));
    this.#lines += 1;
    if (this.#lines > 2 * store.size + STALE_LINES_MAX) this.open(store);
  }

  close() {
    return new Promise((resolve) => this.#stream.end(resolve));
  }
}
