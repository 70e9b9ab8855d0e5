"""A broker that is killed -9 at a chosen boundary, and another one that takes over: run as a process of its own.

    python kill9_worker.py FOLDER < plan      one JSON line for each kill point

A boundary is the instant before or after a commit, and before or after a call that changes something at the provider.
For each point a child process runs the script below and kills itself at that boundary; a second child runs the same
script from where the files stand, to the end. The script is idempotent, as a client that repeats itself with its
idempotency keys is. The provider's nodes live in a file of their own, as a provider does.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sqlalchemy.orm import Session

from lease_kit import HOUR, World, fleet
from sublet.broker import compose
from sublet.broker.leases import service
from sublet.broker.leases.policy import Policy
from sublet.broker.leases.states import FINAL, State
from sublet.broker.tenants.values import SYSTEM, Actor
from sublet.providers.simulated import SimulatedProvider
from sublet.qualification.rehearsal import respond
from sublet.storage.clock import VirtualClock
from sublet.storage.engine import Database

START = datetime(2026, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
POLICY = Policy(
    poll=timedelta(seconds=5),
    ask_again_after=timedelta(seconds=20),
    replace_every=timedelta(seconds=20),
    grace=timedelta(minutes=2),
)


class Boundary:
    """Counts boundaries, remembers what they were, and dies at one of them."""

    def __init__(self, kill_at: int | None) -> None:
        self.kill_at = kill_at
        self.names: list[str] = []

    def __call__(self, name: str) -> None:
        if self.kill_at == len(self.names):
            os.kill(os.getpid(), signal.SIGKILL)
        self.names.append(name)


class FileClock(VirtualClock):
    """A clock whose time outlives the process."""

    def __init__(self, path: Path) -> None:
        super().__init__(datetime.fromisoformat(path.read_text()) if path.exists() else START)
        self._path = path

    def advance(self, by: timedelta | float) -> datetime:
        now = super().advance(by)
        self._path.write_text(now.isoformat())
        return now


class KilledProvider(SimulatedProvider):
    """Dies before or after a call that changes something."""

    boundary: Boundary

    def create(self, request):
        self.boundary("before create")
        made = super().create(request)
        self.boundary("after create")
        return made

    def terminate(self, ref):
        self.boundary("before terminate")
        super().terminate(ref)
        self.boundary("after terminate")


def watch_commits(database: Database, boundary: Boundary) -> None:
    plain = database.transaction

    @contextmanager
    def transaction(*, marked: bool = True):
        with plain(marked=marked) as session:
            yield session
            session.flush()
            boundary("before commit")
        boundary("after commit")

    database.transaction = transaction  # type: ignore[method-assign]


def broker(where: str, folder: Path, boundary: Boundary) -> World:
    """The World over what is stored in `folder`; made anew where nothing is."""
    database = Database.open(where)
    clock = FileClock(folder / "clock")
    provider = KilledProvider(fleet(4, boot_s=3, terminate_s=3), clock, path=folder / "provider.db", respond=respond)
    provider.boundary = Boundary(None)
    known = folder / "world.json"
    if not known.exists():
        world = World(database, clock, folder, nodes=4, policy=POLICY, provider=provider)
        quotes = [world.quote(2, 0.25).id, world.quote(1, 0.2).id]
        known.write_text(json.dumps([world.organisation, world.project, quotes]))
    else:
        world = World.__new__(World)
        world.database, world.clock, world.policy, world.provider = database, clock, POLICY, provider
        from sublet.qualification.certificate import load_signer

        world.signer = load_signer(folder)
    world.organisation, world.project, world.quotes = json.loads(known.read_text())
    world.member = Actor("user", "usr_test", world.organisation, None, "member")
    world.engine = world.new_engine()
    return world


def script(world: World, folder: Path) -> None:
    """Two orders, an extension, a node that dies, an early end; then to the end. Each act may be done again."""
    acknowledged = folder / "acknowledged"
    for number, quote in enumerate(world.quotes):
        placed = world.run(order(world, quote))
        note(acknowledged, f"order {number} {placed.id} {placed.lease_id}")
    orders = sorted(line for line in set(acknowledged.read_text().splitlines()) if line.startswith("order"))
    first, second = (line.split()[3] for line in orders)
    for _ in range(200):
        for lease_id, act in ((first, extended), (first, dying), (second, ended)):
            act(world, folder, lease_id)
        with world.database.reading() as session:
            if not service.running(session):
                return
        world.engine.tick()
        world.clock.advance(20)
    raise AssertionError([world.history(lease) for lease in (first, second)])


def order(world: World, quote: str) -> Callable[[Session], Any]:
    return lambda session: compose.place_order(
        session, quote=quote, start=None, idempotency_key=quote, actor=world.member, now=world.clock.now()
    )


def extended(world: World, folder: Path, lease_id: str) -> None:
    lease = world.get(lease_id)
    until = lease.starts_at + timedelta(minutes=25)
    if (
        lease.state in (State.ACTIVE, State.DEGRADED, State.REPLACING)
        and world.clock.now() < lease.starts_at + HOUR / 6
    ):
        now = world.clock.now()
        world.run(
            lambda s: service.extend(s, lease_id, until=until, idempotency_key="longer", actor=world.member, now=now)
        )
        note(folder / "acknowledged", f"extended {lease_id}")


def dying(world: World, folder: Path, lease_id: str) -> None:
    lease, done = world.get(lease_id), folder / "died"
    if lease.state is State.ACTIVE and world.clock.now() >= lease.starts_at + 4 * MINUTE and not done.exists():
        world.provider.kill_node(lease.members[0].ref)
        done.write_text(world.clock.now().isoformat())


def ended(world: World, folder: Path, lease_id: str) -> None:
    lease = world.get(lease_id)
    if lease.state is State.ACTIVE and world.clock.now() >= lease.starts_at + 6 * MINUTE:
        world.end(lease_id, world.member)
        note(folder / "acknowledged", f"ended {lease_id}")


def note(path: Path, line: str) -> None:
    if not path.exists() or line not in path.read_text().splitlines():
        with path.open("a") as file:
            file.write(line + "\n")


def verdict(world: World, folder: Path) -> list[str]:
    """What is wrong in the end; [] where nothing is."""
    from sublet.broker import doctor

    wrong = [
        finding.sentence
        for check in doctor.examine(world.database, now=world.clock.now())
        for finding in check.findings
    ]
    if left := world.provider.truth():
        wrong.append(f"leaked: {left}")
    with world.database.reading() as session:
        leases = {lease.id: lease for lease in service.leases(session, actor=SYSTEM, limit=100)}
    for line in set((folder / "acknowledged").read_text().splitlines()):
        words = line.split()
        lease = leases.get(words[3] if words[0] == "order" else words[1])
        if lease is None or lease.state not in FINAL:
            wrong.append(f"acknowledged and lost: {line}")
        elif lease.state is not State.SETTLED:
            wrong.append(f"{line}: {lease.state} {lease.reason}")
        elif words[0] == "extended" and lease.ends_at != lease.starts_at + timedelta(minutes=25):
            wrong.append(f"{line}: ends at {lease.ends_at}")
        elif words[0] == "ended" and (lease.ended_at or lease.ends_at) >= lease.ends_at:
            wrong.append(f"{line}: ended at {lease.ended_at}")
    if len(leases) != 2:
        wrong.append(f"{len(leases)} leases for two orders")
    with world.provider._state.reading() as connection:
        made = connection.execute("SELECT key, node, count(*) FROM nodes GROUP BY key, node").fetchall()
    wrong += [f"made {count} times: {node} by {key}" for key, node, count in made if count > 1]
    if len(made) != 4:
        wrong.append(f"{len(made)} nodes were made for three places and one replacement")
    for lease in leases.values():
        wrong += short(world, lease)
    return wrong


def short(world: World, lease: Any) -> list[str]:
    """Seconds of service that no record holds, and money that is not what the records say."""
    records = world.usage(lease.id)
    wrong = []
    for slot in range(lease.nodes):
        mine = {member.node_id for member in lease.members if member.slot == slot}
        begun = min(m.serving_since for m in lease.members if m.slot == slot and m.serving_since)
        spans = sorted((r.start, r.end) for r in records if r.node_id in mine)
        at = begun
        for start, end in spans:
            if start != at:
                wrong.append(f"slot {slot} of {lease.id}: {at} to {start} is not metered once")
            at = end
        if at != lease.ended_at:
            wrong.append(f"slot {slot} of {lease.id} is metered until {at}, it ended {lease.ended_at}")
    hours = sum((r.end - r.start) // timedelta(microseconds=1) for r in records if r.billable) * 8
    owed = Decimal(hours) / 3_600_000_000 * lease.price_per_accelerator_hour.amount
    if abs(owed - world.charged(lease.id).amount) > Decimal("0.005"):
        wrong.append(f"{lease.id} owes {owed} and is charged {world.charged(lease.id)}")
    return wrong


def life(where: str, folder: Path, kill_at: int | None, report: Path) -> None:
    """One process of the broker."""
    boundary = Boundary(kill_at)
    world = broker(where, folder, boundary)
    world.provider.boundary = boundary
    watch_commits(world.database, boundary)
    script(world, folder)
    report.write_text(json.dumps({"boundaries": boundary.names, "wrong": verdict(world, folder)}))
    world.database.close()


def child(*arguments: Any) -> int:
    """Run `life` in a process of its own; its exit status (negative: the signal that killed it)."""
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            life(*arguments)
            code = 0
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def main() -> None:
    """Plan lines: {"where": URL or folder, "folder": ..., "kill_at": number or null}."""
    for line in sys.stdin:
        plan = json.loads(line)
        folder = Path(plan["folder"])
        report = folder / "report.json"
        first = child(plan["where"], folder, plan["kill_at"], report)
        second = child(plan["where"], folder, None, report) if plan["kill_at"] is not None else 0
        said = json.loads(report.read_text()) if report.exists() else {"boundaries": [], "wrong": ["no report"]}
        print(json.dumps({"kill_at": plan["kill_at"], "first": first, "second": second, **said}), flush=True)


if __name__ == "__main__":
    main()
