-- The derived index of runs and file versions (spec/runs.md §2). Everything here can be built again
-- from the journals; nothing here is ever part of an acknowledgement. Times are UTC with zone.

CREATE TABLE holdfast_schema (
    version    INTEGER PRIMARY KEY,
    applied_at TIMESTAMPTZ NOT NULL
);

CREATE TABLE projects (
    id          VARCHAR PRIMARY KEY,
    name        VARCHAR NOT NULL,
    folder      VARCHAR NOT NULL UNIQUE,
    description VARCHAR,
    created_at  TIMESTAMPTZ,
    updated_at  TIMESTAMPTZ
);

CREATE TABLE sources (
    id         VARCHAR PRIMARY KEY,
    project_id VARCHAR NOT NULL,
    kind       VARCHAR NOT NULL,
    url        VARCHAR NOT NULL
);

CREATE TABLE runs (
    id            VARCHAR PRIMARY KEY,
    project_id    VARCHAR NOT NULL,
    "timestamp"   VARCHAR NOT NULL,
    "sequence"    INTEGER NOT NULL,
    "action"      VARCHAR NOT NULL,
    status        VARCHAR NOT NULL,
    created_at    TIMESTAMPTZ NOT NULL,
    completed_at  TIMESTAMPTZ,
    error_message VARCHAR,
    source_id     VARCHAR,
    UNIQUE (project_id, "timestamp", "sequence")
);

-- One row per version of a path. superseded_by is the run that ended it; file_path is relative to
-- runs/ (NULL for symlinks and folders, which have no bytes of their own).
CREATE TABLE files (
    id              VARCHAR PRIMARY KEY,
    project_id      VARCHAR NOT NULL,
    run_id          VARCHAR NOT NULL,
    filename        VARCHAR NOT NULL,
    file_path       VARCHAR,
    file_hash       VARCHAR,
    file_size_bytes BIGINT NOT NULL,
    is_superseded   BOOLEAN NOT NULL DEFAULT false,
    superseded_by   VARCHAR,
    created_at      TIMESTAMPTZ NOT NULL,
    processed_at    TIMESTAMPTZ
);

-- What each run saw: one row per journal line.
CREATE TABLE run_files (
    run_id  VARCHAR NOT NULL,
    file_id VARCHAR,
    outcome VARCHAR NOT NULL
);

CREATE TABLE migration_log (
    id      VARCHAR PRIMARY KEY,
    "at"    TIMESTAMPTZ,
    "action" VARCHAR,
    source  VARCHAR,
    target  VARCHAR,
    sha256  VARCHAR,
    outcome VARCHAR
);

-- How far each journal was taken in. `sealed`: its run.json was there, so it cannot change.
CREATE TABLE holdfast_taken (
    run_dir    VARCHAR PRIMARY KEY,
    project_id VARCHAR NOT NULL,
    bytes      BIGINT NOT NULL,
    batches    BIGINT NOT NULL,
    lines      BIGINT NOT NULL,
    hash       VARCHAR NOT NULL,
    run_json   VARCHAR,
    sealed     BOOLEAN NOT NULL
);

CREATE INDEX idx_runs_project_timestamp ON runs (project_id, "timestamp");
CREATE INDEX idx_files_project_filename ON files (project_id, filename);
CREATE INDEX idx_files_hash ON files (file_hash);
CREATE INDEX idx_files_project_hash ON files (project_id, filename, file_hash);
CREATE INDEX idx_files_run ON files (run_id);
