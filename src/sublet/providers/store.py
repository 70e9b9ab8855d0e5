"""What an adapter remembers that no provider remembers for it: one SQLite file, or memory.

Several processes of the broker share the file, and any of them may die at any instant.
Invariant: what one `transaction` did is there whole or not at all.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

from sublet.units import Money

_WAL_ATTEMPTS = 100


class Store:
    """The tables of `schema` (statements that may run again) in the file at `path`; None keeps them in memory.

    One connection and one transaction at a time in this process; SQLite keeps other processes apart.
    """

    def __init__(self, schema: str, path: Path | None) -> None:
        self._lock = threading.RLock()
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(
            str(path) if path else ":memory:", timeout=30.0, isolation_level=None, check_same_thread=False
        )
        self._connection.row_factory = sqlite3.Row
        if path is not None:
            self._use_wal()
        with self.transaction() as connection:
            for statement in filter(str.strip, schema.split(";")):
                connection.execute(statement)

    def _use_wal(self) -> None:
        """Readers beside a writer. The switch itself does not wait for others, so it is tried until it is made."""
        for attempt in range(_WAL_ATTEMPTS):
            try:
                self._connection.execute("PRAGMA journal_mode=WAL")
                break
            except sqlite3.OperationalError:
                if attempt == _WAL_ATTEMPTS - 1:
                    raise
                time.sleep(0.02)
        self._connection.execute("PRAGMA synchronous=NORMAL")

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
