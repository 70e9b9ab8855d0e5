"""The database: one writer at a time, readers beside it, and a second try where the database asks for one.

`Database.open` takes a PostgreSQL URL or a folder; in a folder lives the embedded default, one SQLite file. On both,
`transaction()` gives a session that sees every earlier transaction and none that runs beside it: SQLite by BEGIN
IMMEDIATE, PostgreSQL by one advisory lock per database, held to the end of the transaction. Check-then-act is therefore
safe in every service, and nothing ever fails to serialise behind the audit chain, which all writers append to.

Invariant: a transaction that returned is on the disk, whole; one that raised left nothing, or says that it cannot know.
"""

from __future__ import annotations

import contextlib
import os
import random
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Column, Connection, Engine, String, Table, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from sublet.errors import InputError, SubletError
from sublet.storage.schema import Base, UTCDateTime, canonical

T = TypeVar("T")

FILE_NAME = "sublet.db"
WRITER_LOCK = 0x5375_626C_6574  # "Sublet": the advisory lock of the one writer, in the database's own lock space
BUSY_S = 30.0  # how long a writer waits for its turn before it is told that the database is busy
PATIENCE_S = 60.0  # how long `run` goes on trying while the database is busy or away
_AGAIN = {"40001", "40P01", "55P03"}  # serialisation failure, deadlock, lock not available


class DatabaseBusy(SubletError):
    """The database did not answer, or gave no turn to write, within the time allowed; nothing was written."""


class OutcomeUnknown(SubletError):
    """The connection broke during COMMIT and the database cannot be asked whether it took effect."""


class Database:
    """An open database. Threads share it; processes open their own."""

    def __init__(self, engine: Engine, path: Path | None = None, *, busy_s: float = BUSY_S) -> None:
        self.engine = engine
        self.path = path
        self._busy_s = busy_s
        self._turn = threading.Lock()  # SQLite's own waiting is not fair: threads queue here first
        self._mine = threading.local()
        self._closed = False

    @classmethod
    def open(cls, where: str | Path, *, busy_s: float = BUSY_S) -> Database:
        """The database at a URL (`postgresql://user@host/name`, `sqlite:///file`) or in a folder, made where missing.

        InputError for a URL that names no database this can use. Tables are the business of `migrate.upgrade`.
        """
        if isinstance(where, str) and "://" in where:
            url = _url(where)
        else:
            folder = Path(where).expanduser()
            try:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                private_file(folder / FILE_NAME)
            except OSError as error:
                raise InputError(f"{folder} cannot be the broker's folder: {error.strerror}") from error
            url = URL.create("sqlite", database=str(folder / FILE_NAME))
        if url.get_backend_name() == "sqlite":
            return cls(_sqlite(url, busy_s), Path(str(url.database)), busy_s=busy_s)
        return cls(_postgresql(url, busy_s), busy_s=busy_s)

    @property
    def dialect(self) -> str:
        """ "sqlite" or "postgresql"."""
        return self.engine.dialect.name

    @property
    def url(self) -> str:
        """Where it is, without the password."""
        return self.engine.url.render_as_string(hide_password=True)

    @contextmanager
    def transaction(self, *, marked: bool = True) -> Iterator[Session]:
        """A session that may write: committed at the end of the block, rolled back where the block raises.

        Holds the only turn to write, so keep the block short and call no provider within it. `marked=False` is for
        migrations, which run before there is a table of marks. RuntimeError where this thread already holds one;
        DatabaseBusy where no turn came; OutcomeUnknown as its name says.
        """
        if getattr(self._mine, "writing", False):
            raise RuntimeError("this thread already has a transaction: pass its session on instead of opening another")
        if self.dialect == "sqlite" and not self._turn.acquire(timeout=self._busy_s):
            raise DatabaseBusy(f"no turn to write to {self.url} within {self._busy_s:g} s: try again")
        self._mine.writing = True
        try:
            with Session(self.engine, expire_on_commit=False) as session:
                mark = self._turn_to_write(session, marked) if self.dialect == "postgresql" else None
                yield session
                session.flush()
                self._commit(session, mark)
        except DBAPIError as error:
            if retriable(error):
                raise DatabaseBusy(f"{self.url} was busy or away ({_first_line(error)}): try again") from error
            raise
        except PoolTimeout as error:
            raise DatabaseBusy(f"all connections to {self.url} are in use: try again") from error
        finally:
            self._mine.writing = False
            if self.dialect == "sqlite":
                self._turn.release()

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that sees one moment of the database and can change nothing; waits for no writer."""
        options: dict[str, Any] = {"sublet_reading": True}
        if self.dialect == "postgresql":
            options |= {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        try:
            with Session(self.engine, expire_on_commit=False, autoflush=False) as session:
                session.connection(execution_options=options)
                yield session
        except DBAPIError as error:
            if retriable(error):
                raise DatabaseBusy(f"{self.url} was busy or away ({_first_line(error)}): try again") from error
            raise
        except PoolTimeout as error:
            raise DatabaseBusy(f"all connections to {self.url} are in use: try again") from error

    def run(self, work: Callable[[Session], T], *, patience_s: float = PATIENCE_S) -> T:
        """What `work(session)` returns, once its transaction is committed.

        `work` is called again from its beginning while the database is busy, deadlocked or away, for `patience_s` in
        all (then DatabaseBusy): it must do nothing that a rollback does not undo.
        """
        deadline = time.monotonic() + patience_s
        pause = 0.01
        while True:
            try:
                with self.transaction() as session:
                    return work(session)
            except DatabaseBusy:
                if time.monotonic() + pause > deadline:
                    raise
                time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, no secret
                pause = min(pause * 2, 1.0)

    def close(self) -> None:
        """Close every connection, those in use as soon as they are given back; the database may be opened again."""
        if not self._closed:
            self._closed = True
            event.listen(self.engine, "checkin", _close_at_once)
        self.engine.dispose()

    def _turn_to_write(self, session: Session, marked: bool) -> Mark | None:
        """Wait for PostgreSQL's one writer's lock; leave a mark that will tell whether this transaction committed.

        A connection has one row of marks, with the mark of its newest transaction. (A transaction's number would not
        do: after a crash the server gives the numbers of what it lost to others.)
        """
        if not marked:
            session.execute(_LOCK, {"key": WRITER_LOCK})
            return None
        name = session.connection().info.setdefault("sublet_mark", secrets.token_hex(12))
        mark = Mark(name, secrets.token_hex(12))
        session.execute(_LOCK_AND_MARK, {"key": WRITER_LOCK, "connection": mark.connection, "mark": mark.mark})
        if secrets.randbelow(_PRUNE_EVERY) == 0:
            session.execute(_PRUNE)
        return mark

    def _commit(self, session: Session, mark: Mark | None) -> None:
        """Commit; where the connection breaks in it, look whether the transaction took effect."""
        try:
            session.commit()
        except DBAPIError as error:
            if mark is None or not error.connection_invalidated:
                raise
            if not self._committed(mark):
                raise DatabaseBusy(f"{self.url} went away and nothing was written: try again") from error

    def _committed(self, mark: Mark) -> bool:
        """Whether the transaction of a mark took effect; waits for it to be over, and for the database to be back."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                with self.engine.begin() as connection:
                    connection.execute(_LOCK, {"key": WRITER_LOCK})  # it held the lock to its end
                    return bool(connection.scalar(_READ_MARK, {"connection": mark.connection}) == mark.mark)
            except DBAPIError:
                if time.monotonic() > deadline:
                    raise OutcomeUnknown(f"{self.url} went away during COMMIT: look before doing it again") from None
            time.sleep(0.2)


def private_file(path: Path) -> None:
    """Make an empty file that only its owner reads, where there is none; what SQLite puts beside it has its mode."""
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


@dataclass(frozen=True)
class Mark:
    """The trace of one transaction in `commit_marks`."""

    connection: str
    mark: str


COMMIT_MARKS = Table(
    "commit_marks",
    Base.metadata,
    Column("connection", String(40), primary_key=True),
    Column("mark", String(40), nullable=False),
    Column("at", UTCDateTime(), nullable=False),
)
_PRUNE_EVERY = 500  # transactions, on average
_LOCK = text("SELECT pg_advisory_xact_lock(:key)")
_LOCK_AND_MARK = text(
    "WITH turn AS MATERIALIZED (SELECT pg_advisory_xact_lock(:key))"
    " INSERT INTO commit_marks (connection, mark, at) SELECT :connection, :mark, now() FROM turn"
    " ON CONFLICT (connection) DO UPDATE SET mark = excluded.mark, at = excluded.at"
)
_READ_MARK = text("SELECT mark FROM commit_marks WHERE connection = :connection")
_PRUNE = text("DELETE FROM commit_marks WHERE at < now() - interval '1 day'")


def retriable(error: DBAPIError) -> bool:
    """Whether the transaction left nothing and may be tried again: busy, deadlocked, or the connection is gone."""
    if error.connection_invalidated:
        return True
    cause = error.orig
    state = getattr(cause, "sqlstate", None)
    if state is not None:
        return state in _AGAIN or state[:2] in ("08", "57", "53")  # connection, operator intervention, resources
    name, words = type(cause).__name__, str(cause)
    if type(cause).__module__.startswith("psycopg"):
        return name == "OperationalError"  # could not connect: no state was ever given
    return name == "OperationalError" and ("database is locked" in words or "database table is locked" in words)


def _close_at_once(connection: Any, _record: Any) -> None:
    """What was in use when its database was closed does not wait in a pool that nobody has any more."""
    if connection is not None:
        with contextlib.suppress(Exception):
            connection.close()


def _first_line(error: DBAPIError) -> str:
    lines = str(error.orig).strip().splitlines()
    return lines[0] if lines else type(error.orig).__name__


def _url(text_: str) -> URL:
    try:
        url = make_url(text_)
        name = url.get_backend_name()
    except (ArgumentError, NoSuchModuleError, ValueError) as error:
        raise InputError(
            f"{text_!r} is not a database URL: write for example postgresql://broker@host/sublet"
        ) from error
    if name == "sqlite":
        if url.database in (None, "", ":memory:"):
            raise InputError(f"{text_!r} is a database in memory: give a file or a folder")
        return url.set(drivername="sqlite")
    if name == "postgresql":
        return url.set(drivername="postgresql+psycopg")
    raise InputError(f"{name!r} is not a database used here: give a postgresql:// or sqlite:/// URL, or a folder")


def _sqlite(url: URL, busy_s: float) -> Engine:
    engine = create_engine(url, connect_args={"timeout": busy_s}, pool_size=16, max_overflow=48, pool_use_lifo=True)

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # BEGIN is ours: see _begin
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")  # what was acknowledged survives a power cut
        connection.execute("PRAGMA foreign_keys = ON")
        connection.create_aggregate("exact_sum", 1, _ExactSum)

    @event.listens_for(engine, "checkin")
    def _checkin(connection: Any, _record: Any) -> None:
        if connection is not None and connection.in_transaction:  # COMMIT failed: SQLite leaves it open, and locked
            connection.rollback()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        reading = connection.get_execution_options().get("sublet_reading", False)
        if connection.info.get("sublet_reading") != reading:  # the pragma makes SQLite compile every statement anew
            connection.exec_driver_sql(f"PRAGMA query_only = {int(reading)}")
            connection.info["sublet_reading"] = reading
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")

    return engine


def _postgresql(url: URL, busy_s: float) -> Engine:
    timeouts = f"-c lock_timeout={int(busy_s * 1000)} -c idle_in_transaction_session_timeout=120000 -c timezone=UTC"
    return create_engine(
        url,
        pool_size=8,
        max_overflow=24,
        pool_timeout=busy_s,
        pool_pre_ping=True,
        isolation_level="READ COMMITTED",
        connect_args={"options": timeouts, "application_name": "sublet", "connect_timeout": 10},
    )


class _ExactSum:
    """SQLite's aggregate `exact_sum`: adds decimals written as text."""

    def __init__(self) -> None:
        self.total: Decimal | None = None

    def step(self, value: str | int | None) -> None:
        if value is not None:
            self.total = (self.total or Decimal(0)) + Decimal(value)

    def finalize(self) -> str | None:
        return None if self.total is None else canonical(self.total)
