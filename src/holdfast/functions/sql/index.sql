-- The search index: rebuildable from the pool at any time. `rows` has one row for each mapping;
-- `texts` holds its words under the same rowid.
CREATE TABLE IF NOT EXISTS state (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rows (
    id INTEGER PRIMARY KEY,
    hash TEXT NOT NULL,
    language TEXT NOT NULL,
    mapping TEXT NOT NULL,
    name TEXT NOT NULL,
    summary TEXT NOT NULL,
    comment TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS rows_by_hash ON rows (hash);
CREATE TABLE IF NOT EXISTS dependencies (
    dependency TEXT NOT NULL,
    hash TEXT NOT NULL,
    PRIMARY KEY (dependency, hash)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS dependencies_by_hash ON dependencies (hash);
CREATE VIRTUAL TABLE IF NOT EXISTS texts USING fts5(
    name, names, docstring, comment, code,
    content = '',
    contentless_delete = 1,
    tokenize = 'unicode61 remove_diacritics 2',
    prefix = '2 3'
);
