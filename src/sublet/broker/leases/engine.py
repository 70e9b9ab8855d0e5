"""Drive every lease to where it should be: one pass over what is due, again and again, in any number of processes.

A pass is idempotent. What is due is claimed in the database; each lease is looked at (`observe`), judged (`decide`) and
acted upon (`effects`) until there is nothing more to do for it now. Leases that merely serve, nearly all of them, cost
one look and a share of one statement.

Invariants: nothing is remembered here that is not in the database (but what makes a pass cheaper), so an engine may be
killed at any instant; two engines on one lease do no harm: the second finds a newer version and stops.
"""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from sublet.broker.errors import Conflict
from sublet.broker.leases import claims, effects, history, orphans, store
from sublet.broker.leases.actions import Action, Look, Meter, Wait
from sublet.broker.leases.clockguard import ClockGuard
from sublet.broker.leases.decide import decide
from sublet.broker.leases.effects import Desk, Gate
from sublet.broker.leases.observe import Line, observe
from sublet.broker.leases.policy import Policy
from sublet.broker.leases.states import SERVING
from sublet.broker.leases.values import LeaseEvent, LeaseFacts, Observation, SlotState
from sublet.providers.protocol import Provider
from sublet.storage.clock import Clock
from sublet.storage.engine import Database, DatabaseBusy

STEPS = 40  # actions for one lease in one pass; more is left for the next
BATCH = 500  # leases claimed at once
CHUNK = 50  # leases whose usage is written in one transaction

_log = logging.getLogger("sublet.leases")

Settle = Callable[[Session, str, datetime], None]
Hook = Callable[[LeaseEvent], None]
Chore = Callable[[Session, datetime], object]


@dataclass(frozen=True)
class Report:
    """What one pass did."""

    looked: int = 0
    acted: int = 0
    waiting: int = 0
    errors: tuple[str, ...] = ()
    orphans: int = 0
    held: str = ""  # why nothing was done at all: the clock jumped


@dataclass
class _Pass:
    now: datetime
    lines: dict[str, Line]
    looks: list[tuple[str, datetime, datetime | None]] = field(default_factory=list)
    acted: int = 0
    errors: list[str] = field(default_factory=list)


class Engine:
    """See the module. `chores` run once a pass, each in its own transaction (the waitlist's promotion is one)."""

    def __init__(
        self,
        database: Database,
        providers: Mapping[str, Provider],
        clock: Clock,
        *,
        gate: Gate,
        settle: Settle,
        hooks: Sequence[Hook] = (),
        chores: Sequence[Chore] = (),
        policy: Policy | None = None,
        monotonic: Callable[[], float] | None = None,
        name: str = "",
    ) -> None:
        self.database = database
        self.providers = dict(providers)
        self.clock = clock
        self.policy = policy or Policy()
        self.name = name or f"engine-{os.getpid()}-{secrets.token_hex(4)}"
        self._desk = Desk(database, clock.now, self.policy, gate, settle)
        self._hooks = tuple(hooks)
        self._chores = tuple(chores)
        self._guard = ClockGuard(monotonic)
        self._cursor = self._last_event() if self._hooks else None
        self._scanned: dict[str, datetime] = {}

    def tick(self) -> Report:
        """One pass. Raises DatabaseBusy where the database is away; nothing is lost then, and the next pass goes on."""
        now = self.clock.now()
        moved = self._guard.check(now)
        if moved.hold:
            return Report(held=moved.reason)
        if moved.back:
            self.database.run(lambda session: claims.wake_all(session, now=now))
            self._scanned.clear()
        done = _Pass(now, {name: Line(provider) for name, provider in self.providers.items()})
        self._do_chores(done)
        looked: set[str] = set()
        while batch := self._claim(looked):
            looked |= set(batch)
            self._work(done, batch)
            if len(batch) < BATCH:
                break
        found = self._scan(done, now)
        self._follow()
        return Report(len(looked), done.acted, len(looked) - done.acted, tuple(done.errors), found)

    def advance(self, lease_id: str) -> datetime | None:
        """Everything that can be done for one lease now; returns when to look again (None: never, it is final)."""
        done = _Pass(self.clock.now(), {name: Line(provider) for name, provider in self.providers.items()})
        with self.database.reading() as session:
            facts = store.facts_of(session, [lease_id]).get(lease_id)
        if facts is None:
            return None
        self._one(done, facts, None)
        self._release(done)
        return done.looks[-1][1] if done.looks else None

    # --- one pass

    def _do_chores(self, done: _Pass) -> None:
        """Each chore by itself; one that fails is logged and stops neither the others nor the leases."""
        for chore in self._chores:
            try:
                self.database.run(lambda session, chore=chore: chore(session, self.clock.now()))  # type: ignore[misc]
            except DatabaseBusy:
                raise
            except Exception as error:
                _log.exception("chore %r", chore)
                done.errors.append(f"{chore!r}: {type(error).__name__}: {error}")

    def _claim(self, looked: set[str]) -> list[str]:
        now = self.clock.now()
        with self.database.reading() as session:
            if not claims.due(session, now=now):
                return []
        claimed = self.database.run(
            lambda session: claims.claim(session, engine=self.name, limit=BATCH, now=now, span=self.policy.claim)
        )
        return [lease for lease in claimed if lease not in looked]

    def _work(self, done: _Pass, batch: Sequence[str]) -> None:
        with self.database.reading() as session:
            known = store.facts_of(session, batch)
        meters: list[tuple[LeaseFacts, Meter, Observation]] = []
        for lease_id in batch:
            facts = known[lease_id]
            line = done.lines.get(facts.provider)
            seen = observe(line, facts, self.clock.now()) if line is not None and facts.state in SERVING else None
            action = decide(facts, seen, self.clock.now(), self.policy)
            if isinstance(action, Wait):
                done.looks.append((lease_id, action.until, _all_seen(facts, seen)))
            elif isinstance(action, Meter) and seen is not None and not action.lost and not action.stopped:
                meters.append((facts, action, seen))
            else:
                self._one(done, facts, seen)
        for start in range(0, len(meters), CHUNK):
            self._meter(done, meters[start : start + CHUNK])
        self._release(done)

    def _meter(self, done: _Pass, meters: Sequence[tuple[LeaseFacts, Meter, Observation]]) -> None:
        """Usage of many leases in one transaction; where one of them was changed meanwhile, one by one."""

        def write(session: Session) -> None:
            for facts, action, _ in meters:
                effects.store_action(session, facts, action, self.clock.now(), self.policy, self._desk.settle)

        try:
            self.database.run(write)
        except (store.Overtaken, Conflict):
            for facts, _, seen in meters:
                self._one(done, facts, seen)
            return
        with self.database.reading() as session:
            known = store.facts_of(session, [facts.id for facts, _, _ in meters])
        for facts, _, seen in meters:
            action = decide(known[facts.id], seen, self.clock.now(), self.policy)
            if isinstance(action, Wait):
                done.looks.append((facts.id, action.until, _all_seen(known[facts.id], seen)))
            else:
                self._one(done, known[facts.id], seen)
        done.acted += len(meters)

    def _one(self, done: _Pass, facts: LeaseFacts, seen: Observation | None) -> None:
        """Act on one lease until there is nothing to do; what goes wrong is logged and does not stop the others."""
        try:
            self._drive(done, facts, seen)
        except store.Overtaken:
            done.looks.append((facts.id, self.clock.now() + self.policy.poll, None))
        except DatabaseBusy:
            raise
        except Exception as error:  # a defect in one lease's life must not stop the others
            _log.exception("lease %s in %s", facts.id, facts.state)
            done.errors.append(f"{facts.id}: {type(error).__name__}: {error}")
            done.looks.append((facts.id, self.clock.now() + self.policy.replace_every, None))

    def _drive(self, done: _Pass, facts: LeaseFacts, seen: Observation | None) -> None:
        line = done.lines.get(facts.provider)
        for _ in range(STEPS):
            now = self.clock.now()
            action: Action = decide(facts, seen, now, self.policy)
            if isinstance(action, Wait):
                if action.reason != "final":
                    done.looks.append((facts.id, action.until, _all_seen(facts, seen)))
                return
            if isinstance(action, Look):
                seen = self._look(line, facts, now)
                continue
            if line is None:
                provider: Provider | None = None
                if isinstance(action, effects.CALLS):
                    done.looks.append((facts.id, now + self.policy.replace_every, None))
                    return
            else:
                provider = line.provider
            effects.do(self._desk, provider, facts, action)
            done.acted += 1
            if isinstance(action, effects.CALLS):
                seen = None
            with self.database.reading() as session:
                facts = store.facts_of(session, [facts.id])[facts.id]
        done.looks.append((facts.id, self.clock.now(), None))

    def _look(self, line: Line | None, facts: LeaseFacts, now: datetime) -> Observation:
        if line is None:
            return Observation(now, answered=False, reason=f"no provider {facts.provider!r} is connected")
        return observe(line, facts, now)

    def _release(self, done: _Pass) -> None:
        looks, done.looks = done.looks, done.looks[-1:]
        if looks:
            self.database.run(lambda session: claims.release(session, engine=self.name, looks=looks))

    # --- beside the leases

    def _scan(self, done: _Pass, now: datetime) -> int:
        """Once in a while: nodes that carry our tag and that no lease wants."""
        found = 0
        for name, line in done.lines.items():
            if line.dead or now - self._scanned.get(name, datetime.min.replace(tzinfo=now.tzinfo)) < orphans.EVERY:
                continue
            self._scanned[name] = now
            found += orphans.scan(self._desk, line, now)
        return found

    def _last_event(self) -> int | None:
        """The newest event there is: what comes after it is new to the hooks. None where the database is away."""
        try:
            with self.database.reading() as session:
                return history.last_number(session)
        except DatabaseBusy:
            return None

    def _follow(self) -> None:
        """Hand new events to the hooks, each once for as long as this engine lives."""
        if not self._hooks:
            return
        if self._cursor is None:
            self._cursor = self._last_event()
        while self._cursor is not None:
            with self.database.reading() as session:
                new = history.events(session, after=self._cursor, limit=500)
            for happened in new:
                for hook in self._hooks:
                    try:
                        hook(happened)
                    except Exception:
                        _log.exception("hook %r on %s", hook, happened.id)
                self._cursor = happened.number
            if not new:
                return


def _all_seen(lease: LeaseFacts, seen: Observation | None) -> datetime | None:
    """When every node in service was seen running, where this look did see them all."""
    if seen is None or not seen.answered:
        return None
    by_ref = seen.by_ref()
    serving = [slot for slot in lease.slots if slot.state is SlotState.SERVING]
    if serving and all(slot.ref in by_ref and by_ref[slot.ref].state == "running" for slot in serving):
        return seen.at
    return None


def run(engine: Engine, stopping: Callable[[], bool], every: timedelta = timedelta(seconds=1)) -> None:
    """Tick until told to stop. A database that is away is waited for."""
    while not stopping():
        try:
            report = engine.tick()
            for error in _first(report.errors):
                _log.error("a lease could not be handled: %s", error)
        except DatabaseBusy as error:
            _log.warning("the database is away: %s", error)
        engine.clock.sleep(every.total_seconds())


def _first(errors: Iterable[str], most: int = 5) -> list[str]:
    return list(errors)[:most]
