/** What a simulation is told, and what it tells. */
import type { Graph } from "./topology.ts";

export interface SimulationOptions {
  readonly nodes: number;
  readonly seed: number;
  /** Overlay of the application's traffic; without it the services are idle. */
  readonly overlay?: Graph;
  /** Managed peers of each node, to whom direct marks go; without them only traffic carries marks. */
  readonly views?: Graph;
  /** Share of marks and datagrams that are lost, 0…1. Default 0. */
  readonly lossShare?: number;
  /** From learning of a version until it is complete here, and so advertised. Default 0. */
  readonly fetchRounds?: number;
  /**
   * Run only nodes that have a neighbour in the other state: between nodes that all know, or all do not know, no
   * mark can teach. Exact for overlays in which neighbourship is mutual and without views; makes long rings possible.
   */
  readonly frontierOnly?: boolean;
  readonly roundsMax: number;
}

/** State of the fleet when a share of it had learned. */
export interface Milestone {
  /** Since the first node got the version. */
  readonly rounds: number;
  /** Marks on traffic that were sent since then. */
  readonly trafficMarks: number;
  /** Direct datagrams that were sent since then. */
  readonly directMarks: number;
}

export interface SimulationResult {
  readonly half: Milestone;
  readonly share99: Milestone;
  readonly all: Milestone;
}
