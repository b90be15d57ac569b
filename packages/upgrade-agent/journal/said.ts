/** The part of the journal that people read: what the agent, hooks and the service said of a version, within bounds. */
import type { DatabaseSync } from "node:sqlite";
import type { ServiceState } from "../service/state.ts";

export interface OutputLine {
  readonly atMs: number;
  /** `agent`, `hook install`, …; of the service itself `app`, `app error` and `service`. */
  readonly source: string;
  readonly text: string;
}

/** As it lies in the journal. */
export interface LoggedLine extends OutputLine {
  /** Grows in the order in which lines came. */
  readonly id: number;
}

export interface OutputFilter {
  readonly after?: number | undefined;
  readonly charactersMax?: number;
}

/** What is known of a service, and how much of its supervisor's log that took. */
export interface ServiceEntry {
  /** Of the last line that was read; 0: none. */
  readonly lastNumber: number;
  readonly state?: ServiceState | undefined;
}

/** Entries kept per version of the agent and hooks, and of the service itself; older ones are forgotten. */
const outputEntriesMax = 500;
const serviceEntriesMax = 2_000;
const serviceSources = "('app', 'app error', 'service')";
/** Characters kept of one entry. */
const outputTextMax = 16_384;

type Row = Record<string, string | number | null>;

export class SaidLog {
  readonly #database: DatabaseSync;

  /** Of a journal whose tables are there. */
  constructor(database: DatabaseSync) {
    this.#database = database;
  }

  #all(sql: string, ...values: (string | number)[]): Row[] {
    return this.#database.prepare(sql).all(...values) as Row[];
  }

  #run(sql: string, ...values: (string | number | null)[]): void {
    this.#database.prepare(sql).run(...values);
  }

  add(service: string, version: number, line: OutputLine): void {
    this.#insertOutput(service, version, line);
    this.#forgetOutput(service, version, "NOT IN", outputEntriesMax);
  }

  #insertOutput(service: string, version: number, { atMs, source, text }: OutputLine): void {
    const sql = "INSERT INTO output (service, version, at_ms, source, text) VALUES (?, ?, ?, ?, ?)";
    this.#run(sql, service, version, atMs, source, text.slice(-outputTextMax));
  }

  #forgetOutput(service: string, version: number, which: "IN" | "NOT IN", entriesMax: number): void {
    const chosen = `service = ? AND version = ? AND source ${which} ${serviceSources}`;
    this.#run(
      `DELETE FROM output WHERE ${chosen} AND id <=
       (SELECT id FROM output WHERE ${chosen} ORDER BY id DESC LIMIT 1 OFFSET ?)`,
      service,
      version,
      service,
      version,
      entriesMax,
    );
  }

  /** What a supervisor told: the lines, where its log goes on, and what follows of them, in one transaction. */
  addServiceLines(
    service: string,
    version: number,
    lines: readonly OutputLine[],
    { lastNumber, state }: ServiceEntry,
  ): void {
    this.#database.exec("BEGIN");
    try {
      for (const line of lines.slice(-serviceEntriesMax)) this.#insertOutput(service, version, line);
      this.#forgetOutput(service, version, "IN", serviceEntriesMax);
      this.#run(
        "INSERT OR REPLACE INTO service_state VALUES (?, ?, ?, ?, ?, ?, ?)",
        service,
        version,
        lastNumber,
        state?.state ?? null,
        state?.sinceMs ?? 0,
        state?.restarts ?? 0,
        state?.lastExit ?? null,
      );
      this.#database.exec("COMMIT");
    } catch (error) {
      this.#database.exec("ROLLBACK");
      throw error;
    }
  }

  /** Nothing of it is known before the first line of its supervisor. */
  serviceEntry(service: string, version: number): ServiceEntry {
    const [row] = this.#all(
      "SELECT * FROM service_state WHERE service = ? AND version = ?",
      service,
      version,
    );
    if (row === undefined) return { lastNumber: 0 };
    const lastNumber = Number(row["last_number"]);
    if (row["state"] === null) return { lastNumber };
    const state = {
      state: row["state"] as ServiceState["state"],
      sinceMs: Number(row["since_ms"]),
      restarts: Number(row["restarts"]),
      ...(row["last_exit"] === null ? {} : { lastExit: String(row["last_exit"]) }),
    };
    return { lastNumber, state };
  }

  /** Its disk is gone; the lines stay, for who wants to know why. */
  forgetServiceEntry(service: string, version: number): void {
    this.#run("DELETE FROM service_state WHERE service = ? AND version = ?", service, version);
  }

  /** Entries after the one called `after`, in the order in which they came; the newest ones when they are too long. */
  lines(
    service: string,
    version: number,
    { after = 0, charactersMax = Number.POSITIVE_INFINITY }: OutputFilter = {},
  ): LoggedLine[] {
    const newest = this.#all(
      "SELECT id, at_ms, source, text FROM output WHERE service = ? AND version = ? AND id > ? ORDER BY id DESC",
      service,
      version,
      after,
    );
    let characters = 0;
    const fitting = newest.filter((row) => (characters += String(row["text"]).length) <= charactersMax);
    return fitting.toReversed().map((row) => ({
      id: Number(row["id"]),
      atMs: Number(row["at_ms"]),
      source: String(row["source"]),
      text: String(row["text"]),
    }));
  }
}
