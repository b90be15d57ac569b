/** Tables of the journal. A change of layout raises `schemaVersion` and adds a step to `migrations`. */

export const migrations: readonly string[] = [
  `
  CREATE TABLE upgrade (
    service       TEXT NOT NULL,
    version       INTEGER NOT NULL,
    stage         TEXT NOT NULL,
    entered_at_ms INTEGER NOT NULL,
    attempt       INTEGER NOT NULL,
    retry_at_ms   INTEGER NOT NULL,
    fault_code    TEXT,
    fault_message TEXT,
    source        TEXT NOT NULL,
    learned_by    TEXT NOT NULL,
    cleaned       INTEGER NOT NULL,
    PRIMARY KEY (service, version)
  ) STRICT;

  CREATE TABLE stage_entry (
    id            INTEGER PRIMARY KEY,
    service       TEXT NOT NULL,
    version       INTEGER NOT NULL,
    stage         TEXT NOT NULL,
    entered_at_ms INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX stage_entry_of ON stage_entry (service, version, id);

  CREATE TABLE output (
    id      INTEGER PRIMARY KEY,
    service TEXT NOT NULL,
    version INTEGER NOT NULL,
    at_ms   INTEGER NOT NULL,
    source  TEXT NOT NULL,
    text    TEXT NOT NULL
  ) STRICT;
  CREATE INDEX output_of ON output (service, version, id);

  CREATE TABLE domain_key (
    service     TEXT NOT NULL,
    version     INTEGER NOT NULL,
    private_key TEXT NOT NULL,
    public_key  TEXT NOT NULL,
    PRIMARY KEY (service, version)
  ) STRICT;

  CREATE TABLE retirement (
    service  TEXT NOT NULL,
    version  INTEGER NOT NULL,
    envelope TEXT NOT NULL,
    PRIMARY KEY (service, version)
  ) STRICT;
  `,
  `
  CREATE TABLE proxy_event (
    id      INTEGER PRIMARY KEY,
    service TEXT NOT NULL,
    process TEXT NOT NULL,
    number  INTEGER NOT NULL,
    at_ms   INTEGER NOT NULL,
    kind    TEXT NOT NULL,
    version INTEGER NOT NULL,
    detail  TEXT NOT NULL,
    UNIQUE (service, process, number)
  ) STRICT;

  CREATE TABLE quarantine (
    service  TEXT NOT NULL,
    version  INTEGER NOT NULL,
    since_ms INTEGER NOT NULL,
    detail   TEXT NOT NULL,
    PRIMARY KEY (service, version)
  ) STRICT;
  `,
  `
  CREATE TABLE service_state (
    service     TEXT NOT NULL,
    version     INTEGER NOT NULL,
    last_number INTEGER NOT NULL,
    state       TEXT,
    since_ms    INTEGER NOT NULL,
    restarts    INTEGER NOT NULL,
    last_exit   TEXT,
    PRIMARY KEY (service, version)
  ) STRICT;
  `,
];
