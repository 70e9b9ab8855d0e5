"""What goes wrong beneath the broker: its clock, its disk, its database. It stands still rather than guess."""

from __future__ import annotations

import contextlib
import threading
import time
from datetime import timedelta

import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from lease_kit import World
from sublet.broker.leases.clockguard import ClockGuard
from sublet.broker.leases.states import State
from sublet.storage.engine import Database, DatabaseBusy

pytestmark = pytest.mark.slow


def test_clock_jumped_back_and_time_was_billed_twice(world: World):
    """The clock goes back half an hour: what was billed is not billed again, and nothing sleeps until then."""
    lease = world.active(nodes=2)
    world.passes(2000, step=100)
    billed = world.billed_s(lease.id)
    world.clock.set(world.clock.now() - timedelta(minutes=30))
    world.provider.calls.clear()
    world.tick(5)
    assert any(call == "describe" for call, _ in world.provider.calls), "it must not sleep until the clock catches up"
    world.passes(600, step=60)
    assert world.billed_s(lease.id) == billed
    world.settle_all()
    assert world.billed_s(lease.id) == 2 * 3600
    world.check()


def test_clock_jumped_forward_and_every_lease_ended(world: World):
    """Ten hours in one tick of the machine: nothing is ended or billed; when the clock is put right, all goes on."""
    ticks = [0.0]
    engine = world.new_engine()
    engine._guard = ClockGuard(lambda: ticks[0])
    lease = world.active(nodes=2)

    def passes(count: int, step: float = 5) -> None:
        for _ in range(count):
            ticks[0] += step
            world.tick(step, engine=engine)

    passes(10)
    before = world.billed_s(lease.id)
    world.clock.advance(timedelta(hours=10))
    report = engine.tick()
    assert "jumped forward" in report.held
    passes(10)
    assert world.get(lease.id).state is State.ACTIVE
    assert world.billed_s(lease.id) == before
    world.clock.advance(-timedelta(hours=10))
    passes(30)
    assert world.get(lease.id).state is State.ACTIVE
    assert world.billed_s(lease.id) <= 2 * 250
    world.settle_all()
    assert world.billed_s(lease.id) == 2 * 3600
    world.check()


def test_clock_jumped_forward_for_good(world: World):
    """The new time stands for two minutes: then it is the truth, and leases that are over end (billed to their end)."""
    ticks = [0.0]
    engine = world.new_engine()
    engine._guard = ClockGuard(lambda: ticks[0])
    lease = world.active()
    world.tick(5, engine=engine)
    world.clock.advance(timedelta(hours=10))
    for _ in range(40):
        ticks[0] += 10
        world.tick(10, engine=engine)
    assert world.get(lease.id).state is State.SETTLED
    assert world.billed_s(lease.id) == 3600


@contextlib.contextmanager
def failing(database: Database, when):
    """Statements for which `when(sql)` holds raise what SQLite raises on a full disk."""

    def refuse(conn, cursor, statement, parameters, context, executemany):
        if when(statement):
            raise OperationalError(statement, parameters, Exception("database or disk is full"))

    event.listen(database.engine, "before_cursor_execute", refuse)
    try:
        yield
    finally:
        event.remove(database.engine, "before_cursor_execute", refuse)


@pytest.mark.parametrize("table", ["lease_intents", "lease_slots", "usage_records", "lease_events", "audit_log"])
def test_disk_is_full(world: World, table):
    """Writes to one table fail for a while: no node is made without its intent, none is lost, all goes on."""
    lease_id = world.lease(nodes=2)
    with failing(world.database, lambda sql: sql.startswith(("INSERT", "UPDATE")) and table in sql):
        for _ in range(5):
            with contextlib.suppress(Exception):
                world.engine.tick()
            world.clock.advance(40)
        if table == "lease_intents":
            assert not world.provider.truth()
    world.until(lease_id, State.ACTIVE)
    assert len(world.provider.truth()) == 2
    with failing(world.database, lambda sql: sql.startswith(("INSERT", "UPDATE")) and table in sql):
        for _ in range(5):
            with contextlib.suppress(Exception):
                world.engine.tick()
            world.clock.advance(40)
    world.settle_all()
    assert not world.provider.truth()
    world.check()


def test_database_is_away_while_the_provider_answers(world: World, monkeypatch):
    """The database goes away between `create` and the note of its answer: the nodes are found again, not made again."""
    real = world.provider.create
    away = [True]

    def create(request):
        created = real(request)
        if away[0]:
            away[0] = False
            monkeypatch.setattr(Database, "run", busy)
        return created

    def busy(self, work, **options):
        raise DatabaseBusy("it is away")

    run = Database.run
    monkeypatch.setattr(world.provider, "create", create)
    lease_id = world.lease(nodes=2)
    with pytest.raises(DatabaseBusy):
        world.engine.tick()
    monkeypatch.setattr(Database, "run", run)
    world.clock.advance(30)
    world.until(lease_id, State.ACTIVE)
    assert len(world.provider.truth()) == 2
    world.settle_all()
    world.check()


def test_database_was_gone_for_30_s(postgres, postgresql_database, clock, tmp_path):
    """PostgreSQL is stopped under a serving lease and comes back: nothing is lost or doubled.

    (Three seconds of real time stand for the thirty: `Database.run` tries again for a minute.)
    """
    world = World(postgresql_database, clock, tmp_path)
    lease = world.active(nodes=2)
    world.passes(120)
    postgres.stop("immediate")

    def come_back() -> None:
        time.sleep(3)
        postgres.start()

    back = threading.Thread(target=come_back)
    back.start()
    try:
        for _ in range(100):
            try:
                world.tick(5)
                break
            except DatabaseBusy:
                time.sleep(0.1)
    finally:
        back.join()
    world.passes(60)
    assert world.get(lease.id).state is State.ACTIVE
    assert len(world.provider.truth()) == 2
    world.settle_all()
    assert world.billed_s(lease.id) == 2 * 3600
    world.check()
