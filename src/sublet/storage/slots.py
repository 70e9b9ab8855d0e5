"""Which worker a process is: numbered slots, each held by one living process, so that the dead are noticed.

A worker that dies leaves work behind that only its own name may resume. Names are therefore slots: a process takes the
lowest free one when it starts, and the others see when a slot that was held is held no more. The lock falls with the
process, however it ends: a file lock beside SQLite, a session's advisory lock in PostgreSQL.

Invariant: at any time a slot is held by at most one living process.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from sublet.errors import SubletError
from sublet.storage.engine import Database

LIMIT = 64  # workers on one database
_CLASS = 0x5375626C  # "Subl": the first half of the advisory lock, the slot is the second


class Slots(Protocol):
    """The slots of one database, seen from one process."""

    def claim(self) -> int:
        """Take the lowest free slot and hold it; SubletError where all are taken."""
        ...

    def hold(self) -> bool:
        """Whether the claimed slot is still ours; takes it again where it was lost and is free."""
        ...

    def held(self) -> set[int]:
        """The slots that some living process holds, ours included."""
        ...

    def release(self) -> None:
        """Give the slot up."""
        ...


def slots(database: Database) -> Slots:
    """The slots of a database."""
    return FileSlots(database.path.parent) if database.path else AdvisorySlots(database)


class FileSlots:
    """Slots as locked files `worker-<n>.lock` in the broker's folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._mine: tuple[int, int] | None = None  # slot, file descriptor

    def claim(self) -> int:
        for slot in range(LIMIT):
            if (descriptor := self._lock(slot)) is not None:
                self._mine = (slot, descriptor)
                return slot
        raise _full(str(self._folder))

    def hold(self) -> bool:
        return self._mine is not None

    def held(self) -> set[int]:
        found = set()
        for path in self._folder.glob("worker-*.lock"):
            slot = int(path.stem.removeprefix("worker-"))
            if (self._mine and slot == self._mine[0]) or (descriptor := self._lock(slot)) is None:
                found.add(slot)
            else:
                os.close(descriptor)
        return found

    def release(self) -> None:
        if self._mine:
            os.close(self._mine[1])
            self._mine = None

    def _lock(self, slot: int) -> int | None:
        descriptor = os.open(self._folder / f"worker-{slot}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return None
        return descriptor


class AdvisorySlots:
    """Slots as advisory locks of a PostgreSQL session that is kept open for them."""

    def __init__(self, database: Database) -> None:
        self._engine = database.engine
        self._url = database.url
        self._session: Connection | None = None
        self._slot: int | None = None

    def claim(self) -> int:
        session = self._connect()
        for slot in range(LIMIT):
            if self._try(session, slot):
                self._session, self._slot = session, slot
                return slot
        session.close()
        raise _full(self._url)

    def hold(self) -> bool:
        try:
            if self._session is not None:
                self._session.execute(text("SELECT 1"))
                return True
            if self._slot is None:
                return False
            session = self._connect()
            if self._try(session, self._slot):
                self._session = session
                return True
            session.close()
        except DBAPIError:
            if self._session is not None:
                self._session.invalidate()
                self._session.close()
                self._session = None
        return False

    def held(self) -> set[int]:
        query = text(
            "SELECT objid::int FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid = :room"
            " AND objsubid = 2 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        with self._engine.connect() as connection:
            return set(connection.scalars(query, {"room": _CLASS}))

    def release(self) -> None:
        if self._session is not None:
            self._session.invalidate()  # the lock goes with the connection: it must not return to the pool
            self._session.close()
        self._session = self._slot = None

    def _connect(self) -> Connection:
        return self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")

    def _try(self, session: Connection, slot: int) -> bool:
        query = text("SELECT pg_try_advisory_lock(:room, :slot)")
        return bool(session.execute(query, {"room": _CLASS, "slot": slot}).scalar_one())


def _full(where: str) -> SubletError:
    return SubletError(f"{where} has {LIMIT} workers already: stop one before starting another")
