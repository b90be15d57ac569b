/**
 * One after the other per key, over all connections of a process: two clients' writes of one key reach every version
 * in the same order, so the versions do not end up with different values. Who needs several keys gets them at once,
 * in the order of arrival, so nobody waits in a circle.
 */
import { ALL_KEYS } from "./contract.ts";

interface Entry {
  readonly number: number;
  readonly keys: ReadonlySet<string> | typeof ALL_KEYS;
  readonly begin: () => void;
  /** Earlier entries that want all keys, and keys at which somebody is ahead; or, wanting all keys, all who are ahead. */
  blockers: number;
}

export class KeyOrder {
  /** Those that hold or wait, in the order of arrival; per key; and those that want all keys. */
  readonly #entries = new Set<Entry>();
  readonly #queues = new Map<string, Set<Entry>>();
  readonly #wantAll = new Set<Entry>();
  /** Entries whose turn has come; run one by one, so that a row of short holders does not nest. */
  readonly #ready: Entry[] = [];
  #running = false;
  #next = 0;

  /** Those that hold or wait. */
  get size(): number {
    return this.#entries.size;
  }

  /**
   * Calls `begin` as soon as nobody who came before has any of the keys, possibly before this returns. The returned
   * function gives the keys back, or leaves the queue when they were not had yet; later calls of it do nothing.
   */
  acquire(key: string | readonly string[] | typeof ALL_KEYS, begin: () => void): () => void {
    const keys = key === ALL_KEYS ? key : new Set(typeof key === "string" ? [key] : key);
    const entry: Entry = { number: this.#next++, keys, begin, blockers: this.#wantAll.size };
    if (keys === ALL_KEYS) {
      entry.blockers = this.#entries.size;
      this.#wantAll.add(entry);
    } else {
      for (const each of keys) entry.blockers += this.#join(each, entry);
    }
    this.#entries.add(entry);
    if (entry.blockers === 0) this.#run([entry]);
    return () => this.#leave(entry);
  }

  /** Returns 1 when somebody is ahead, else 0. */
  #join(key: string, entry: Entry): 0 | 1 {
    const queue = this.#queues.get(key);
    if (queue === undefined) {
      this.#queues.set(key, new Set([entry]));
      return 0;
    }
    queue.add(entry);
    return 1;
  }

  #leave(entry: Entry): void {
    if (!this.#entries.delete(entry)) return;
    const freed =
      entry.keys === ALL_KEYS ? this.#entries : [...this.#heirs(entry.keys, entry), ...this.#wantAll];
    this.#wantAll.delete(entry);
    const ready: Entry[] = [];
    for (const later of freed) {
      if (later.number < entry.number) continue;
      later.blockers -= 1;
      if (later.blockers === 0) ready.push(later);
    }
    this.#run(ready);
  }

  /** Takes the entry out of its queues; yields, per key that it had, who comes next. */
  *#heirs(keys: ReadonlySet<string>, entry: Entry): Generator<Entry> {
    for (const key of keys) {
      const queue = this.#queues.get(key);
      const [head] = queue ?? [];
      queue?.delete(entry);
      if (head !== entry) continue;
      const [next] = queue ?? [];
      if (next === undefined) this.#queues.delete(key);
      else yield next;
    }
  }

  #run(entries: readonly Entry[]): void {
    this.#ready.push(...entries);
    if (this.#running) return;
    this.#running = true;
    try {
      for (let next = this.#ready.shift(); next !== undefined; next = this.#ready.shift()) {
        // It may have left while others began.
        if (this.#entries.has(next)) next.begin();
      }
    } finally {
      this.#running = false;
    }
  }
}
