/** One direction of an in-memory connection: things under way, delivered in order, bytes in pieces of any size. */

type Parcel =
  | { readonly kind: "bytes"; readonly bytes: Buffer }
  | { readonly kind: "signal"; readonly deliver: () => void };

export class Stream {
  readonly #parcels: Parcel[] = [];
  readonly #receive: (bytes: Buffer) => void;
  readonly #left: ((bytes: number) => void) | undefined;
  /** The receiver takes nothing now. */
  paused = false;

  /** `left` is told of bytes that are delivered, as the sender's "written". */
  constructor(receive: (bytes: Buffer) => void, left?: (bytes: number) => void) {
    this.#receive = receive;
    this.#left = left;
  }

  get ready(): boolean {
    return !this.paused && this.#parcels.length > 0;
  }

  bytes(bytes: Uint8Array): void {
    if (bytes.length > 0) this.#parcels.push({ kind: "bytes", bytes: Buffer.from(bytes) });
  }

  /** Something that happens behind all that was sent before, as the end of a stream. */
  signal(deliver: () => void): void {
    this.#parcels.push({ kind: "signal", deliver });
  }

  clear(): void {
    this.#parcels.length = 0;
  }

  /** Delivers the next signal, or up to `cut(bytes)` of the next bytes; bytes behind one another flow together. */
  deliver(cut: (bytes: number) => number): void {
    const parcel = this.#parcels.shift();
    if (parcel === undefined) return;
    if (parcel.kind === "signal") return parcel.deliver();
    const together = [parcel.bytes];
    for (let next = this.#parcels[0]; next?.kind === "bytes"; next = this.#parcels[0]) {
      together.push(next.bytes);
      this.#parcels.shift();
    }
    const all = Buffer.concat(together);
    const piece = all.subarray(0, Math.max(1, Math.min(all.length, cut(all.length))));
    if (piece.length < all.length)
      this.#parcels.unshift({ kind: "bytes", bytes: all.subarray(piece.length) });
    this.#left?.(piece.length);
    this.#receive(piece);
  }
}
