/**
 * What the agent must not forget, in SQLite: the stage of every version, the history of stages, the output of hooks,
 * the keys of domains, and signed retirements. Every method is one transaction, on disk when it returns.
 */
import { chmodSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import type { Upgrade } from "../lifecycle/machine.ts";
import type { Stage } from "../lifecycle/stages.ts";
import type { Envelope } from "../release/contract.ts";
import { SaidLog } from "./said.ts";
import { migrations } from "./schema.ts";

export interface StageEntry {
  readonly stage: Stage;
  readonly enteredAtMs: number;
}

/** What a proxy process said of a version. */
export interface ProxyEventEntry {
  readonly service: string;
  /** Tells the processes of a service apart. */
  readonly process: string;
  /** 1, 2, 3 … of that process. */
  readonly number: number;
  readonly atMs: number;
  readonly kind: "version-quarantined" | "version-readmitted";
  readonly version: number;
  readonly detail: string;
}

export interface QuarantineEntry {
  readonly service: string;
  readonly version: number;
  readonly sinceMs: number;
  readonly detail: string;
}

/** Events of proxies kept per service. */
const proxyEventsMax = 500;

type Row = Record<string, string | number | null>;

export class Journal {
  readonly #database: DatabaseSync;
  /** What was said of and by every version. */
  readonly said: SaidLog;

  /** Opens or creates the file, readable by root alone because it holds the keys of domains. */
  constructor(file: string) {
    this.#database = new DatabaseSync(file);
    if (file !== ":memory:") chmodSync(file, 0o600);
    this.#database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 5000;");
    this.#migrate();
    this.said = new SaidLog(this.#database);
  }

  #migrate(): void {
    const version = Number((this.#get("PRAGMA user_version") ?? {})["user_version"] ?? 0);
    for (const [index, sql] of migrations.entries()) {
      if (index < version) continue;
      this.#database.exec(`BEGIN; ${sql} PRAGMA user_version = ${index + 1}; COMMIT;`);
    }
  }

  #get(sql: string, ...values: (string | number)[]): Row | undefined {
    return this.#database.prepare(sql).get(...values) as Row | undefined;
  }

  #all(sql: string, ...values: (string | number)[]): Row[] {
    return this.#database.prepare(sql).all(...values) as Row[];
  }

  #run(sql: string, ...values: (string | number | null)[]): void {
    this.#database.prepare(sql).run(...values);
  }

  /** Stores the state; a stage that was just entered is added to the history in the same transaction. */
  save(upgrade: Upgrade): void {
    const before = this.upgrade(upgrade.service, upgrade.version);
    this.#database.exec("BEGIN");
    try {
      this.#run(
        `INSERT INTO upgrade VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (service, version) DO UPDATE SET stage = excluded.stage, entered_at_ms = excluded.entered_at_ms,
         attempt = excluded.attempt, retry_at_ms = excluded.retry_at_ms, fault_code = excluded.fault_code,
         fault_message = excluded.fault_message, source = excluded.source, cleaned = excluded.cleaned`,
        upgrade.service,
        upgrade.version,
        upgrade.stage,
        upgrade.enteredAtMs,
        upgrade.attempt,
        upgrade.retryAtMs,
        upgrade.fault?.code ?? null,
        upgrade.fault?.message ?? null,
        upgrade.source,
        upgrade.learnedBy,
        upgrade.cleaned ? 1 : 0,
      );
      if (before?.stage !== upgrade.stage || before.enteredAtMs !== upgrade.enteredAtMs) {
        this.#run(
          "INSERT INTO stage_entry (service, version, stage, entered_at_ms) VALUES (?, ?, ?, ?)",
          upgrade.service,
          upgrade.version,
          upgrade.stage,
          upgrade.enteredAtMs,
        );
      }
      this.#database.exec("COMMIT");
    } catch (error) {
      this.#database.exec("ROLLBACK");
      throw error;
    }
  }

  upgrade(service: string, version: number): Upgrade | undefined {
    const row = this.#get("SELECT * FROM upgrade WHERE service = ? AND version = ?", service, version);
    return row === undefined ? undefined : upgradeOf(row);
  }

  upgrades(): Upgrade[] {
    return this.#all("SELECT * FROM upgrade ORDER BY service, version").map(upgradeOf);
  }

  /** Removes every trace of a version. */
  forget(service: string, version: number): void {
    for (const table of [
      "upgrade",
      "stage_entry",
      "output",
      "domain_key",
      "proxy_event",
      "quarantine",
      "service_state",
    ]) {
      this.#run(`DELETE FROM ${table} WHERE service = ? AND version = ?`, service, version);
    }
  }

  history(service: string, version: number): StageEntry[] {
    return this.#all(
      "SELECT stage, entered_at_ms FROM stage_entry WHERE service = ? AND version = ? ORDER BY id",
      service,
      version,
    ).map((row) => ({ stage: row["stage"] as Stage, enteredAtMs: Number(row["entered_at_ms"]) }));
  }

  /** The SSH key of a domain: the stored one, or the one that `generate` makes, stored before it is returned. */
  domainKey(service: string, version: number, generate: () => DomainKey): DomainKey {
    const sql = "SELECT private_key, public_key FROM domain_key WHERE service = ? AND version = ?";
    const row = this.#get(sql, service, version);
    if (row !== undefined) {
      return { privateKey: String(row["private_key"]), publicKey: String(row["public_key"]) };
    }
    const key = generate();
    this.#run("INSERT INTO domain_key VALUES (?, ?, ?, ?)", service, version, key.privateKey, key.publicKey);
    return key;
  }

  forgetDomainKey(service: string, version: number): void {
    this.#run("DELETE FROM domain_key WHERE service = ? AND version = ?", service, version);
  }

  /** Stores the event and what follows of it. Returns false, and does nothing, when it is known already. */
  addProxyEvent(event: ProxyEventEntry): boolean {
    const { service, process, number, atMs, kind, version, detail } = event;
    this.#database.exec("BEGIN");
    try {
      const known = this.#get(
        "SELECT 1 FROM proxy_event WHERE service = ? AND process = ? AND number = ?",
        service,
        process,
        number,
      );
      if (known === undefined) {
        this.#run(
          "INSERT INTO proxy_event (service, process, number, at_ms, kind, version, detail) VALUES (?, ?, ?, ?, ?, ?, ?)",
          service,
          process,
          number,
          atMs,
          kind,
          version,
          detail,
        );
        this.#run(
          `DELETE FROM proxy_event WHERE service = ? AND id NOT IN
           (SELECT id FROM proxy_event WHERE service = ? ORDER BY id DESC LIMIT ?)`,
          service,
          service,
          proxyEventsMax,
        );
        if (kind === "version-readmitted") this.forgetQuarantine(service, version);
        else
          this.#run("INSERT OR IGNORE INTO quarantine VALUES (?, ?, ?, ?)", service, version, atMs, detail);
      }
      this.#database.exec("COMMIT");
      return known === undefined;
    } catch (error) {
      this.#database.exec("ROLLBACK");
      throw error;
    }
  }

  /** The last ones of all services, oldest first. */
  proxyEvents(entriesMax: number): ProxyEventEntry[] {
    const rows = this.#all("SELECT * FROM proxy_event ORDER BY id DESC LIMIT ?", entriesMax);
    return rows.toReversed().map((row) => ({
      service: String(row["service"]),
      process: String(row["process"]),
      number: Number(row["number"]),
      atMs: Number(row["at_ms"]),
      kind: row["kind"] as ProxyEventEntry["kind"],
      version: Number(row["version"]),
      detail: String(row["detail"]),
    }));
  }

  /** Versions that proxies keep out, of all services. */
  quarantines(): QuarantineEntry[] {
    return this.#all("SELECT * FROM quarantine ORDER BY service, version").map((row) => ({
      service: String(row["service"]),
      version: Number(row["version"]),
      sinceMs: Number(row["since_ms"]),
      detail: String(row["detail"]),
    }));
  }

  forgetQuarantine(service: string, version: number): void {
    this.#run("DELETE FROM quarantine WHERE service = ? AND version = ?", service, version);
  }

  saveRetirement(service: string, version: number, envelope: Envelope): void {
    this.#run(
      "INSERT OR REPLACE INTO retirement VALUES (?, ?, ?)",
      service,
      version,
      JSON.stringify(envelope),
    );
  }

  retirement(service: string, version: number): Envelope | undefined {
    const row = this.#get(
      "SELECT envelope FROM retirement WHERE service = ? AND version = ?",
      service,
      version,
    );
    return row === undefined ? undefined : (JSON.parse(String(row["envelope"])) as Envelope);
  }

  close(): void {
    this.#database.close();
  }
}

export interface DomainKey {
  /** OpenSSH private key, PEM. */
  readonly privateKey: string;
  /** One line of `authorized_keys`. */
  readonly publicKey: string;
}

function upgradeOf(row: Row): Upgrade {
  const fault =
    row["fault_code"] === null
      ? {}
      : { fault: { code: String(row["fault_code"]), message: String(row["fault_message"]) } };
  return {
    service: String(row["service"]),
    version: Number(row["version"]),
    stage: row["stage"] as Stage,
    enteredAtMs: Number(row["entered_at_ms"]),
    attempt: Number(row["attempt"]),
    retryAtMs: Number(row["retry_at_ms"]),
    source: String(row["source"]),
    learnedBy: row["learned_by"] as Upgrade["learnedBy"],
    cleaned: row["cleaned"] === 1,
    ...fault,
  };
}
