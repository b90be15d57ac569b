/** Which spares are kept, made and dropped, within a budget. Pure: events and the time in, one action at a time out. */

/** What a spare is of. */
export interface Shape {
  readonly memoryMiB: number;
  readonly vcpus: number;
  /** Digest of its base; absent: whatever base is the newest. */
  readonly base?: string;
}

export interface PolicyOptions {
  /** What all spares may take on disk. */
  readonly budgetBytes: number;
  /** For so long nothing is made after a domain was started: making one takes as much as starting one. */
  readonly quietMs: number;
  /** Pause after a spare of some shape could not be made or used, doubled with each further time. */
  readonly retryMs: number;
  readonly retryMsMax: number;
  /** A shape that nobody asked for in so long is forgotten. */
  readonly lapseMs: number;
}

export type Action =
  | { readonly type: "make"; readonly shape: Shape; readonly name: string }
  | { readonly type: "drop"; readonly name: string }
  /** Nothing to do before; absent: until something happens. */
  | { readonly type: "wait"; readonly untilMs?: number };

interface Wanted {
  readonly shape: Shape;
  /** Of the spare that would fit now; changes with the newest base. */
  name: string;
  wantedAtMs: number;
  bytes: number;
  failures: number;
  notBeforeMs: number;
}

/** Of a machine that was never saved: half its memory is pages that were touched, and some disk. */
export function estimateBytes({ memoryMiB }: Shape): number {
  return (memoryMiB / 2 + 32) * 1024 ** 2;
}

export function shapeKey({ memoryMiB, vcpus, base }: Shape): string {
  return `${memoryMiB}/${vcpus}/${base ?? "newest"}`;
}

export class SparePolicy {
  readonly #options: PolicyOptions;
  readonly #wanted = new Map<string, Wanted>();
  readonly #held = new Map<string, number>();
  #making: string | undefined;
  #startedAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: PolicyOptions) {
    this.#options = options;
  }

  /** Somebody asked for such a machine, and would again. `name` is the spare's that would fit. */
  want(shape: Shape, name: string, now: number): void {
    const key = shapeKey(shape);
    const known = this.#wanted.get(key);
    const wantedAtMs = Math.max(now, known?.wantedAtMs ?? now);
    const fresh = { shape, bytes: estimateBytes(shape), failures: 0, notBeforeMs: now };
    this.#wanted.set(key, { ...fresh, ...known, name, wantedAtMs });
  }

  /** Shapes that are remembered, for whoever finds out which names fit now. */
  shapes(): Shape[] {
    return [...this.#wanted.values()].map(({ shape }) => shape);
  }

  /** The newest base may have changed. What could not be made on another may be on this one. */
  rename(shape: Shape, name: string): void {
    const wanted = this.#wanted.get(shapeKey(shape));
    if (wanted === undefined || wanted.name === name) return;
    Object.assign(wanted, { name, failures: 0, notBeforeMs: Number.NEGATIVE_INFINITY });
  }

  /** A domain was started, warm or cold. */
  started(now: number): void {
    this.#startedAtMs = now;
  }

  making(name: string): void {
    this.#making = name;
  }

  made(name: string, bytes: number): void {
    if (this.#making === name) this.#making = undefined;
    this.#held.set(name, bytes);
    for (const wanted of this.#named(name)) Object.assign(wanted, { bytes, failures: 0 });
  }

  /** It could not be made, or a clone of it failed. */
  failed(name: string, now: number): void {
    if (this.#making === name) this.#making = undefined;
    const { retryMs, retryMsMax } = this.#options;
    for (const wanted of this.#named(name)) {
      const pauseMs = Math.min(retryMs * 2 ** wanted.failures, retryMsMax);
      Object.assign(wanted, { failures: wanted.failures + 1, notBeforeMs: now + pauseMs });
    }
  }

  /** Making it was cut short, and that says nothing of it. */
  stopped(name: string): void {
    if (this.#making === name) this.#making = undefined;
  }

  dropped(name: string): void {
    this.#held.delete(name);
  }

  next(now: number): Action {
    this.#forget(now);
    const drop = this.#tooMuch();
    if (drop !== undefined) return { type: "drop", name: drop };
    if (this.#making !== undefined) return { type: "wait" };
    const missing = this.#byAge().filter(
      ({ name, bytes }) => !this.#held.has(name) && bytes <= this.#options.budgetBytes,
    );
    const due = missing.find(({ notBeforeMs }) => notBeforeMs <= now);
    const quietAtMs = this.#startedAtMs + this.#options.quietMs;
    if (due === undefined || quietAtMs > now)
      return { type: "wait", ...this.#until(missing, now, quietAtMs) };
    const victim = this.#victim(due);
    if (victim !== undefined) return { type: "drop", name: victim };
    if (this.#total() + due.bytes > this.#options.budgetBytes) return { type: "wait" };
    return { type: "make", shape: due.shape, name: due.name };
  }

  #forget(now: number): void {
    for (const [key, { wantedAtMs }] of this.#wanted)
      if (now - wantedAtMs > this.#options.lapseMs) this.#wanted.delete(key);
  }

  /** One that nobody wants, or the one that was wanted longest ago while all take more than they may. */
  #tooMuch(): string | undefined {
    const names = this.#byAge().map(({ name }) => name);
    const unwanted = [...this.#held.keys()].find((name) => !names.includes(name));
    if (unwanted !== undefined) return unwanted;
    if (this.#total() <= this.#options.budgetBytes) return undefined;
    return names.findLast((name) => this.#held.has(name));
  }

  /** What makes room for `due`: only what was wanted before it. */
  #victim(due: Wanted): string | undefined {
    if (this.#total() + due.bytes <= this.#options.budgetBytes) return undefined;
    const older = this.#byAge().filter(
      (wanted) => wanted.wantedAtMs < due.wantedAtMs && this.#held.has(wanted.name),
    );
    const freed = older.reduce((sum, { name }) => sum + (this.#held.get(name) ?? 0), 0);
    return this.#total() - freed + due.bytes > this.#options.budgetBytes ? undefined : older.at(-1)?.name;
  }

  #until(missing: readonly Wanted[], now: number, quietAtMs: number): { untilMs?: number } {
    const first = Math.min(...missing.map(({ notBeforeMs }) => notBeforeMs));
    return missing.length === 0 ? {} : { untilMs: Math.max(first, quietAtMs, now) };
  }

  /** Wanted last comes first. */
  #byAge(): Wanted[] {
    return [...this.#wanted.values()].toSorted((a, b) => b.wantedAtMs - a.wantedAtMs);
  }

  #named(name: string): Wanted[] {
    return [...this.#wanted.values()].filter((wanted) => wanted.name === name);
  }

  #total(): number {
    return [...this.#held.values()].reduce((sum, bytes) => sum + bytes, 0);
  }
}
