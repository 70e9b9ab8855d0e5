"""The database goes away and comes back: nothing acknowledged is lost, nothing is done twice, nobody restarts."""

from __future__ import annotations

import shutil
import threading
import time
from functools import partial

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from broker_kit import Cluster, postgresql_binaries
from sublet.storage import migrate
from sublet.storage.engine import Database, DatabaseBusy

pytestmark = pytest.mark.slow


@pytest.fixture
def cluster():
    """A cluster of its own, to be stopped under the broker's feet."""
    made = Cluster(postgresql_binaries())
    try:
        made.initialise()
        yield made
        made.stop("immediate")
    finally:
        shutil.rmtree(made.folder, ignore_errors=True)


@pytest.fixture
def acts(postgresql_database):
    with postgresql_database.transaction() as session:
        session.execute(text("CREATE TABLE acts (number integer PRIMARY KEY)"))
    return postgresql_database


def numbers(database):
    with database.reading() as session:
        return list(session.scalars(text("SELECT number FROM acts ORDER BY number")))


def test_writers_wait_for_a_database_that_is_restarted(cluster):
    database = Database.open(cluster.create())
    migrate.upgrade(database)
    with database.transaction() as session:
        session.execute(text("CREATE TABLE acts (number integer PRIMARY KEY)"))
    acknowledged, errors, enough = [], [], threading.Event()

    def write(first: int) -> None:
        number = first
        while not enough.is_set():
            try:
                database.run(partial(add, number))
                acknowledged.append(number)
            except Exception as error:
                errors.append(error)
                return
            number += 4

    writers = [threading.Thread(target=write, args=(first,)) for first in range(4)]
    for writer in writers:
        writer.start()
    time.sleep(0.3)
    cluster.stop("immediate")
    before = len(acknowledged)
    time.sleep(1.0)
    assert len(acknowledged) - before <= 4  # what was under way
    cluster.start()
    time.sleep(1.5)
    enough.set()
    for writer in writers:
        writer.join()
    stored = numbers(database)
    database.close()
    assert errors == []
    assert stored == sorted(acknowledged)
    assert len(acknowledged) > before + 4


def add(number, session):
    session.execute(text("INSERT INTO acts VALUES (:number)"), {"number": number})


def broken(committed: bool):
    """A COMMIT whose answer never comes: it took effect, or it did not."""
    real = Session.commit

    def commit(self):
        real(self) if committed else self.rollback()
        raise OperationalError("COMMIT", {}, Exception("server closed the connection"), connection_invalidated=True)

    return commit


def test_a_commit_without_an_answer_is_looked_up(acts, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Session, "commit", broken(committed=True))
        with acts.transaction() as session:  # no error: the database says that it is committed
            session.execute(text("INSERT INTO acts VALUES (1)"))
    assert numbers(acts) == [1]


def test_a_commit_that_did_not_happen_is_done_again_by_run(acts, monkeypatch):
    calls = []

    def work(session):
        calls.append(1)
        if len(calls) == 2:
            monkeypatch.undo()
        session.execute(text("INSERT INTO acts VALUES (2)"))

    monkeypatch.setattr(Session, "commit", broken(committed=False))
    acts.run(work)
    assert len(calls) == 2
    assert numbers(acts) == [2]


def test_patience_has_an_end(tmp_path):
    nobody = Database.open("postgresql://nobody@127.0.0.1:1/nothing")
    with pytest.raises(DatabaseBusy, match="was busy or away"):
        nobody.run(lambda session: None, patience_s=0.2)
    nobody.close()


def test_a_writer_that_never_gets_its_turn_is_told(tmp_path):
    database = Database.open(tmp_path, busy_s=0.2)
    holds, go_on = threading.Event(), threading.Event()

    def hold():
        with database.transaction() as session:
            session.execute(text("SELECT 1"))
            holds.set()
            go_on.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    holds.wait(10)
    with pytest.raises(DatabaseBusy, match="no turn to write"), database.transaction():
        pass
    other = Database.open(tmp_path, busy_s=0.2)  # as another process would
    with pytest.raises(DatabaseBusy, match="database is locked"), other.transaction() as session:
        session.execute(text("SELECT 1"))
    go_on.set()
    holder.join()
    other.close()
    with database.transaction():
        pass
    database.close()
