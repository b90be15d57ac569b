/**
 * Keeps items across restarts: `items.ndjson` in the data directory, one item per line, later lines win. It is
 * rewritten when most of its lines are stale. No fsync: the replicas are what protects against a lost node.
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

export class ItemLog {
  #file;
  #stream;
  #lines = 0;

  constructor(directory) {
    mkdirSync(directory, { recursive: true });
    this.#file = join(directory, "items.ndjson");
  }

  /** Items as they were written. A last line cut short by a crash is left out: it was never acknowledged. */
  *load() {
    if (!existsSync(this.#file)) return;
    for (const line of readFileSync(this.#file, "utf8").split("\n")) {
      try {
        yield JSON.parse(line);
      } catch {
        continue;
      }
    }
  }

  /** Rewrites the file with what is in `store` and goes on appending to it. */
  open(store) {
    const lines = Array.from(store, (item) => `${JSON.stringify(item)}\n`);
    writeFileSync(`${this.#file}.new`, lines.join(""));
    this.#stream?.end();
    renameSync(`${this.#file}.new`, this.#file);
    this.#stream = createWriteStream(this.#file, { fd: openSync(this.#file, "a") });
    this.#lines = lines.length;
  }

  append(item, store) {
    this.#stream.write(`${JSON.stringify(item)}\n`);
    this.#lines += 1;
    if (this.#lines > 2 * store.size + STALE_LINES_MAX) this.open(store);
  }

  close() {
    return new Promise((resolve) => this.#stream.end(resolve));
  }
}
