/**
 * In which form each peer takes the mark of a TCP connection: as the start of the stream (relays), or as an option of the
 * SYN (the kernel's data path, which refuses a SYN without one). Learned by trying. Pure.
 */

export type Form = "stream" | "option";

/** Peers remembered at most; beyond it each connection begins by trying. */
const PEERS_MAX = 131_072;

export class PeerForms {
  readonly #takeOption = new Set<number>();

  /** What to try first. */
  first(address: number): Form {
    return this.#takeOption.has(address) ? "option" : "stream";
  }

  /** What to try when the first was refused. */
  second(first: Form): Form {
    return first === "option" ? "stream" : "option";
  }

  /** A connection to this peer was opened in this form. */
  took(address: number, form: Form): void {
    if (form === "stream") this.#takeOption.delete(address);
    else if (this.#takeOption.size < PEERS_MAX) this.#takeOption.add(address);
  }
}
