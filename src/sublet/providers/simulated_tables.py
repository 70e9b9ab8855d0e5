"""The tables of a simulated provider. Times are seconds since the epoch on the provider's clock; NULL is "never"."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS nodes (
    ref TEXT PRIMARY KEY, key TEXT NOT NULL, node TEXT NOT NULL, tag TEXT NOT NULL, shape TEXT NOT NULL,
    accelerator TEXT NOT NULL, cpus REAL NOT NULL, memory_bytes REAL NOT NULL, price TEXT NOT NULL,
    created_at REAL NOT NULL, ready_at REAL NOT NULL, dies_at REAL, vanishes INTEGER NOT NULL DEFAULT 0,
    ended_at REAL, until REAL
);
CREATE INDEX IF NOT EXISTS nodes_by_tag ON nodes (tag);
CREATE INDEX IF NOT EXISTS nodes_by_key ON nodes (key);
CREATE INDEX IF NOT EXISTS nodes_alive ON nodes (shape) WHERE ended_at IS NULL;
CREATE TABLE IF NOT EXISTS keys (key TEXT PRIMARY KEY, request TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS faults (
    id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, skip INTEGER NOT NULL, times INTEGER, fault TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS prices (shape TEXT PRIMARY KEY, price TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS commands (
    id INTEGER PRIMARY KEY AUTOINCREMENT, ref TEXT NOT NULL, argv TEXT NOT NULL, ends_at REAL, status INTEGER NOT NULL,
    output BLOB NOT NULL, errors BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS commands_by_ref ON commands (ref);
"""
