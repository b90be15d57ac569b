/**
 * All items of this node. Last writer wins per key; the order of writes is (timestamp, node, value), so replicas that
 * saw the same writes in any order hold the same items. Pure: `log.js` keeps items across restarts.
 */
import { createHash } from "node:crypto";

/** Keys are spread over this many buckets, whose digests tell replicas which of them differ. */
export const BUCKETS = 64;

const hash = (text) => createHash("sha1").update(text).digest().readBigUInt64BE();
const bucketOf = (key) => Number(hash(key) % BigInt(BUCKETS));
const hashOf = (item) => hash(JSON.stringify([item.key, item.timestamp, item.node, item.value]));

/** Negative when `a` was written before `b`. */
function compareWrites(a, b) {
  if (a.timestamp !== b.timestamp) return a.timestamp - b.timestamp;
  if (a.node !== b.node) return a.node < b.node ? -1 : 1;
  if (a.value !== b.value) return a.value < b.value ? -1 : 1;
  return 0;
}

export class Store {
  #buckets = Array.from({ length: BUCKETS }, () => ({ items: new Map(), digest: 0n }));
  #latest = 0;
  #onChange;
  size = 0;

  /** `onChange` gets every item that was new or newer. */
  constructor(onChange = () => undefined) {
    this.#onChange = onChange;
  }

  get(key) {
    return this.#buckets[bucketOf(key)].items.get(key);
  }

  /** Keeps `item` = {key, value, timestamp, node} if it is newer than what is here; true when it was. */
  merge(item) {
    const bucket = this.#buckets[bucketOf(item.key)];
    const known = bucket.items.get(item.key);
    this.#latest = Math.max(this.#latest, item.timestamp);
    if (known !== undefined && compareWrites(item, known) <= 0) return false;
    if (known === undefined) this.size += 1;
    else bucket.digest ^= hashOf(known);
    bucket.digest ^= hashOf(item);
    bucket.items.set(item.key, item);
    this.#onChange(item);
    return true;
  }

  /** A timestamp in µs above all that this node has seen, so that a slow clock here cannot lose an acknowledged write. */
  nextTimestamp(nowMs) {
    this.#latest = Math.max(Math.floor(nowMs * 1000), this.#latest + 1);
    return this.#latest;
  }

  /** `wished`, or just above the item that it replaces: a write acknowledged later must win, whatever the clocks say. */
  timestampFrom(wished, key) {
    return Math.max(wished, (this.get(key)?.timestamp ?? 0) + 1);
  }

  /** One hexadecimal digest per bucket. */
  digests() {
    return this.#buckets.map((bucket) => bucket.digest.toString(16));
  }

  /** Digest of everything; equal on replicas that hold the same items. */
  digest() {
    return this.#buckets.reduce((all, bucket) => all ^ bucket.digest, 0n).toString(16);
  }

  /** Items of a bucket in the order of their keys, after `after`, up to `charactersMax`. */
  page(bucketNumber, after, charactersMax) {
    const page = [];
    let characters = 0;
    const { items } = this.#buckets[bucketNumber];
    for (const key of [...items.keys()].sort((a, b) => (a < b ? -1 : 1))) {
      if (after !== undefined && key <= after) continue;
      const item = items.get(key);
      characters += item.key.length + item.value.length + 64;
      if (page.length > 0 && characters > charactersMax) break;
      page.push(item);
    }
    return page;
  }

  *[Symbol.iterator]() {
    for (const bucket of this.#buckets) yield* bucket.items.values();
  }
}
