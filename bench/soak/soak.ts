/** Storms and rests by turns: everything bad at once, then nothing, then a look at what is left. */
import { setMaxListeners } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import type { VersionEndpoints } from "@version-manager/app-proxy/host";
import { runCrowd } from "./clients.ts";
import type { Tally } from "./clients.ts";
import { startVersion } from "./servers.ts";
import type { Version } from "./servers.ts";
import { Subject } from "./subject.ts";
import type { Rest } from "./verdicts.ts";

export interface SoakOptions {
  /** Of `module.ts`. */
  readonly service: "http" | "leaky";
  /** Storms. */
  readonly cycles: number;
  readonly stormMs: number;
  /** How many times as fast as the world's the proxy's clock is. */
  readonly speed: number;
  readonly signal: AbortSignal;
  readonly say: (line: string) => void;
}

export interface SoakFigures {
  readonly rests: readonly Rest[];
  readonly tally: Readonly<Tally>;
  readonly requests: number;
  readonly shed: number;
  readonly peakBytes: number;
  readonly versionChanges: number;
  readonly seconds: number;
}

const CHANGE_MS = 700;
const PEAK_MS = 100;
/** Seconds for all connections to end once the clients have gone; deadlines in the proxy pass faster. */
const REST_S = 30;

/** Throws Error when the proxy dies, or connections or requests stay when all clients are gone. */
export async function soak(options: SoakOptions): Promise<SoakFigures> {
  const servers = [await startVersion(), await startVersion()] as const;
  try {
    return await soakWith(versionSets(servers), options);
  } finally {
    for (const server of servers) server.close();
  }
}

async function soakWith(sets: Sets, options: SoakOptions): Promise<SoakFigures> {
  const startedAtMs = performance.now();
  const subject = await Subject.start(options.service, options.speed, sets[0] ?? []);
  try {
    const tally: Tally = { connections: 0, answered: 0, refused: 0, wrong: 0 };
    const rests: Rest[] = [{ connections: 0, ...(await subject.sample()) }];
    const watch = new Watch(subject, sets);
    for (let cycle = 1; cycle <= options.cycles; cycle += 1) {
      options.signal.throwIfAborted();
      await storm(subject, tally, watch, options);
      await rest(subject);
      const sample = { connections: tally.connections, ...(await subject.sample()) };
      rests.push(sample);
      options.say(`storm ${cycle}/${options.cycles}: ${describe(sample)}`);
    }
    const { requestsTotal: requests, connectionsShed: shed } = await subject.status();
    const { peakBytes, versionChanges } = watch;
    const seconds = (performance.now() - startedAtMs) / 1000;
    return { rests, tally, requests, shed, peakBytes, versionChanges, seconds };
  } finally {
    await subject.close();
  }
}

type Sets = readonly (readonly VersionEndpoints[])[];

/** Both, one, the other, and one beside a version that nobody answers for. */
function versionSets([one, two]: readonly [Version, Version]): Sets {
  const at = (version: number, address: string): VersionEndpoints => ({
    version,
    endpoints: { "tcp/80": address },
  });
  const both = [at(1, one.address), at(2, two.address)];
  return [both, [at(1, one.address)], both, [at(2, two.address)], [...both, at(3, "127.0.0.1:1")]];
}

async function storm(subject: Subject, tally: Tally, watch: Watch, options: SoakOptions): Promise<void> {
  const stop = AbortSignal.any([AbortSignal.timeout(options.stormMs), options.signal]);
  setMaxListeners(0, stop);
  await Promise.all([
    runCrowd({ port: subject.port, tally, stop }),
    watch.changeVersions(stop),
    watch.peaks(stop),
  ]);
  subject.check();
}

class Watch {
  peakBytes = 0;
  versionChanges = 0;
  readonly #subject: Subject;
  readonly #sets: Sets;

  constructor(subject: Subject, sets: Sets) {
    this.#subject = subject;
    this.#sets = sets;
  }

  async changeVersions(stop: AbortSignal): Promise<void> {
    while (!stop.aborted) {
      await sleep(CHANGE_MS);
      this.versionChanges += 1;
      await this.#subject.setVersions(this.#sets[this.versionChanges % this.#sets.length] ?? []);
    }
  }

  async peaks(stop: AbortSignal): Promise<void> {
    while (!stop.aborted) {
      this.peakBytes = Math.max(this.peakBytes, this.#subject.resident());
      await sleep(PEAK_MS);
    }
  }
}

async function rest(subject: Subject): Promise<void> {
  for (let waited = 0; waited < REST_S * 10; waited += 1) {
    await sleep(100);
    subject.check();
    const { bufferedBytes, connections, requestsInFlight, serverConnections } = await subject.status();
    if (connections + serverConnections + requestsInFlight + bufferedBytes === 0) return;
  }
  const { connections, requestsInFlight } = await subject.status();
  throw new Error(
    `${REST_S} s after all clients went ${connections} connections and ${requestsInFlight} requests are left`,
  );
}

function describe({ connections, rssBytes, heapBytes, sockets, timers, descriptors }: Rest): string {
  const mib = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
  return `${connections} connections, at rest ${mib(rssBytes)} resident, ${mib(heapBytes)} heap, ${sockets} sockets, ${timers} timers, ${descriptors} descriptors`;
}
