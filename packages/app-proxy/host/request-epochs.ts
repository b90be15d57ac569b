/**
 * Which requests were begun under which set of versions. A change of the set is settled when every request begun
 * before it is over: from then on no write can be on its way that missed a version.
 */
interface Epoch {
  open: number;
}

export class RequestEpochs {
  #epochs: Epoch[] = [{ open: 0 }];
  #waiting: (() => void)[] = [];
  #total = 0;

  /** Requests in flight. */
  get inFlight(): number {
    return this.#epochs.reduce((sum, epoch) => sum + epoch.open, 0);
  }

  /** Requests since the start. */
  get total(): number {
    return this.#total;
  }

  /** A request begins; the returned function, called once, ends it. */
  start(): () => void {
    const epoch = this.#epochs.at(-1) as Epoch;
    epoch.open += 1;
    this.#total += 1;
    return () => {
      epoch.open -= 1;
      if (epoch.open === 0) this.#wake();
    };
  }

  /** Begins a new epoch; resolves when all requests of the earlier ones are over. */
  async turn(): Promise<void> {
    const current: Epoch = { open: 0 };
    this.#epochs.push(current);
    while (this.#epochs.slice(0, this.#epochs.indexOf(current)).some((epoch) => epoch.open > 0)) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    const index = this.#epochs.indexOf(current);
    if (index > 0) this.#epochs = this.#epochs.slice(index);
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}
