"""One writer at a time, exact columns, retries: on SQLite and on PostgreSQL alike."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, insert, select, text
from sqlalchemy.exc import StatementError

from sublet.errors import InputError
from sublet.storage.engine import Database, DatabaseBusy
from sublet.storage.schema import Amount, UTCDateTime, exact_sum

ROWS = Table(
    "engine_rows",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("name", String(40), unique=True),
    Column("at", UTCDateTime()),
    Column("amount", Amount()),
)


@pytest.fixture
def rows(database: Database) -> Database:
    ROWS.create(database.engine)
    return database


def test_what_is_written_is_read_to_the_last_digit(rows):
    amounts = [
        Decimal("0.1"),
        Decimal("0.2"),
        Decimal("123456789012345678901234567890.000000000000000001"),
        Decimal(-7),
    ]
    with rows.transaction() as session:
        session.execute(insert(ROWS), [{"id": i, "amount": amount} for i, amount in enumerate(amounts)])
    with rows.reading() as session:
        assert list(session.scalars(select(ROWS.c.amount).order_by(ROWS.c.id))) == amounts
        assert session.scalar(select(exact_sum(ROWS.c.amount)).where(ROWS.c.id < 2)) == Decimal("0.3")
        assert session.scalar(select(exact_sum(ROWS.c.amount)).where(ROWS.c.id > 99)) is None


def test_a_moment_comes_back_in_utc_and_sorts_as_time(rows):
    kolkata = timezone(timedelta(hours=5, minutes=30))
    late = datetime(2026, 3, 1, 0, 15, 0, 123456, tzinfo=kolkata)
    early = datetime(2026, 2, 28, 18, 44, 59, tzinfo=UTC)
    with rows.transaction() as session:
        session.execute(insert(ROWS), [{"id": 1, "at": late}, {"id": 2, "at": early}])
    with rows.reading() as session:
        found = list(session.scalars(select(ROWS.c.at).order_by(ROWS.c.at)))
    assert found == [early, late]
    assert all(moment.tzinfo is UTC for moment in found)


@pytest.mark.parametrize("wrong", [{"amount": 0.1}, {"amount": Decimal("NaN")}, {"at": datetime(2026, 1, 1)}])
def test_floats_and_times_without_zone_are_refused(rows, wrong):
    with pytest.raises(StatementError), rows.transaction() as session:
        session.execute(insert(ROWS), [{"id": 1, **wrong}])


def test_what_raises_leaves_nothing(rows):
    with pytest.raises(ZeroDivisionError), rows.transaction() as session:
        session.execute(insert(ROWS), [{"id": 1 // (session.scalar(insert(ROWS).returning(ROWS.c.id)) - 1)}])
    with rows.reading() as session:
        assert session.scalars(select(ROWS.c.id)).all() == []


def test_a_reader_can_change_nothing_and_the_next_writer_can(rows):
    with pytest.raises(Exception, match=r"(?i)read-?only"), rows.reading() as session:
        session.execute(insert(ROWS), [{"id": 1}])
    with rows.transaction() as session:
        session.execute(insert(ROWS), [{"id": 1}])


def test_a_second_transaction_in_one_thread_is_refused_not_awaited(rows):
    with rows.transaction(), pytest.raises(RuntimeError, match="already has a transaction"), rows.transaction():
        pass
    with rows.transaction():
        pass


def test_run_tries_again_from_the_beginning(rows):
    calls = []

    def work(session):
        calls.append(1)
        session.execute(insert(ROWS), [{"id": 1, "name": "once"}])
        if len(calls) < 3:
            raise DatabaseBusy("not yet")
        return "done"

    assert rows.run(work) == "done"
    assert len(calls) == 3
    with rows.reading() as session:
        assert session.scalars(select(ROWS.c.id)).all() == [1]


@pytest.mark.parametrize("url", ["mysql://host/x", "nonsense://x", "sqlite://", "postgresql://host:port/x"])
def test_a_wrong_url_is_a_sentence(url):
    with pytest.raises(InputError):
        Database.open(url)


def test_the_database_is_its_owners_alone_wherever_the_folder_is(tmp_path):
    open_to_all = tmp_path / "home"
    open_to_all.mkdir(mode=0o755)
    database = Database.open(open_to_all)
    with database.transaction() as session:
        session.execute(text("CREATE TABLE t (x INTEGER)"))
    modes = {path.name: path.stat().st_mode & 0o077 for path in open_to_all.iterdir()}
    database.close()
    assert "sublet.db-wal" in modes
    assert set(modes.values()) == {0}


def test_a_connection_in_use_when_its_database_is_closed_is_closed_when_it_is_given_back(database):
    with database.reading() as session:
        used = session.connection().connection.dbapi_connection
        database.close()
        assert session.execute(text("SELECT 1")).scalar() == 1
    with pytest.raises(Exception, match="closed"):
        used.cursor().execute("SELECT 1")
