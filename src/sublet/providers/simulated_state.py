"""What a simulated provider remembers: nodes, keys, scripted faults, commands, in one SQLite file or in memory.

It stands for the provider's own computers: it survives any death of the broker, and several processes of the broker
share it through the file. Invariant: what one `transaction` did is there whole or not at all.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

from sublet.units import Money

_SCHEMA = """
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


class State:
    """The store. One connection, one transaction at a time in this process; SQLite keeps other processes apart."""

    def __init__(self, path: Path | None) -> None:
        self._lock = threading.RLock()
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(
            str(path) if path else ":memory:", timeout=30.0, isolation_level=None, check_same_thread=False
        )
        self._connection.row_factory = sqlite3.Row
        if path is not None:
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=NORMAL")
        with self.transaction() as connection:
            for statement in filter(str.strip, _SCHEMA.split(";")):
                connection.execute(statement)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A write transaction: committed when the block ends, undone when it raises."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection for queries outside a write transaction."""
        with self._lock:
            yield self._connection

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()


def money_text(amount: Money) -> str:
    """Exactly, as `money` reads it."""
    return f"{amount.amount} {amount.currency}"


def money(text: str) -> Money:
    """What `money_text` wrote."""
    amount, currency = text.split()
    return Money(Decimal(amount), currency)
