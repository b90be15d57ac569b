/** The simulated network: what is under way, in a calendar of steps. Arrivals of one step come in order of sending. */

/** Longest way, in steps. */
export const LATENCY_STEPS_MAX = 4;

/** A mark on application traffic between two nodes. */
export interface TrafficMark {
  readonly from: number;
  readonly to: number;
  /** A request is answered, and the answer is marked too. */
  readonly isRequest: boolean;
  readonly tellsNews: boolean;
}

export interface DirectDatagram {
  readonly from: number;
  readonly to: number;
  readonly bytes: Uint8Array;
}

interface Arrivals {
  traffic: TrafficMark[];
  direct: DirectDatagram[];
}

const SLOTS = LATENCY_STEPS_MAX + 1;
const nothing = (): Arrivals => ({ traffic: [], direct: [] });

export class Wire {
  readonly #slots = Array.from({ length: SLOTS }, nothing);

  /** `latencySteps` is 1…4: nothing arrives in the step in which it was sent. */
  sendTraffic(mark: TrafficMark, step: number, latencySteps: number): void {
    this.#slot(step + latencySteps).traffic.push(mark);
  }

  sendDirect(datagram: DirectDatagram, step: number, latencySteps: number): void {
    this.#slot(step + latencySteps).direct.push(datagram);
  }

  /** Takes what arrives in this step; to be called in every step. */
  arrivals(step: number): Readonly<Arrivals> {
    const arrived = this.#slot(step);
    this.#slots[step % SLOTS] = nothing();
    return arrived;
  }

  #slot(step: number): Arrivals {
    return (this.#slots[step % SLOTS] ??= nothing());
  }
}
