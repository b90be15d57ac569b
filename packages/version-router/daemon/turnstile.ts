/** Lets changes through one at a time, in the order in which they came, so that none sees another half done. */
export class Turnstile {
  #last: Promise<unknown> = Promise.resolve();

  run<T>(change: () => Promise<T>): Promise<T> {
    const result = this.#last.then(change, change);
    this.#last = result.catch(() => undefined);
    return result;
  }
}
