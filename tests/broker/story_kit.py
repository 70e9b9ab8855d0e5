"""The stage of the stories of test_invariants_machine: a broker that may die anywhere, its people, its provider.

Here is what a story stands on and what its rules ask for; what may happen is in story_people and story_ground, what
must hold in story_checks. Invariant: the same story makes the same identifiers, so that a failure is found again.
"""

from __future__ import annotations

import os
import random
import tempfile
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize

from lease_kit import CHIP, OPERATOR, SHAPE, World, fleet
from sublet.broker.errors import BrokerError
from sublet.broker.leases import service
from sublet.broker.leases.policy import Policy
from sublet.broker.orders import service as orders
from sublet.broker.supply import service as supply
from sublet.broker.tenants import service as tenants
from sublet.broker.tenants.values import SYSTEM, Actor
from sublet.providers import simulated
from sublet.providers.simulated import SimulatedProvider
from sublet.qualification.rehearsal import respond
from sublet.storage import ids
from sublet.storage.clock import VirtualClock
from sublet.units import Money

LOOK = int(os.environ.get("SUBLET_MACHINE_LOOK") or (1 if os.environ.get("SUBLET_MACHINE_EXAMPLES") else 4))
"""Every so many steps the doctor looks: it costs more than all the rest."""
NODES = 5
S, HOUR = timedelta(seconds=1), timedelta(hours=1)
POLICY = Policy(quiet=600 * S, orphan_after=60 * S, ready_within=600 * S, hopeless_after=600 * S)

some = st.integers(0, 11)  # which of those there are: taken modulo how many
lengths = st.sampled_from([Decimal("0.05"), Decimal("0.2"), Decimal(1), Decimal(3)])
offsets = st.sampled_from([0, 60, 600, 1800, 3600, 7200])  # seconds from now
pauses = st.sampled_from([0, 1, 2, 5, 20, 40, 61, 300, 600, 1800, 3700])
REASON = "as the story goes"


class Died(BaseException):
    """The process was killed here."""


class MortalProvider(SimulatedProvider):
    """Calls `boundary` before and after each call that changes something."""

    boundary = staticmethod(lambda: None)

    def create(self, request):
        self.boundary()
        made = super().create(request)
        self.boundary()
        return made

    def terminate(self, ref):
        self.boundary()
        super().terminate(ref)
        self.boundary()


class Stage(RuleBasedStateMachine):
    """An empty broker with its people. `place` makes an empty database: set by the test."""

    place: Any = staticmethod(lambda: None)
    order_: Any  # of story_people
    engine_runs: Any  # of story_ground

    def __init__(self):
        super().__init__()
        self.database: Any
        self.world: Any = None
        self.database, self.forget = self.place()
        self.folder = Path(tempfile.mkdtemp(prefix="sublet-story-"))
        self.keys, self.looks = count(1), count(1)
        self.fuse: int | None = None

    # --- the stage

    @initialize(
        proves=st.booleans(),
        ends=st.booleans(),
        boot=st.sampled_from([0.0, 3.0, 90.0]),
        late=st.sampled_from([0.0, 3.0, 45.0]),
        spare=st.integers(0, 2),
        begun=st.sampled_from([True, True, True, False]),
        patient=st.booleans(),
    )
    def opens(self, proves, ends, boot, late, spare, begun, patient):
        self.clock = VirtualClock()
        self.provider = MortalProvider(
            fleet(NODES + spare, proves_absence=proves, ends_at_until=ends, boot_s=boot, terminate_s=late),
            self.clock,
            respond=respond,
        )
        self.provider.boundary = self._boundary
        self.world = World(self.database, self.clock, self.folder, nodes=NODES, policy=POLICY, provider=self.provider)
        self.engines = [self.world.engine, self.world.new_engine(name="second")]
        self._mortal()
        self.down_since = None
        self.patient = patient
        self.bookings: dict[str, tuple] = {}
        self.ends: dict[str, object] = {}
        self.starts: dict[str, object] = {}
        self.tickets: list[tuple[str, str]] = []
        self.windows: list[str] = []
        self.outages: dict[tuple[str, str], datetime] = {}  # lease and node that the operator called failed: when
        now = self.clock.now()

        def people(session):
            home = tenants.create_organisation(session, name="Beta", tier=0, actor=OPERATOR, now=now)
            careful = tenants.create_project(
                session, organisation=home.id, name="careful", needs_approval=True, actor=OPERATOR, now=now
            )
            poor = tenants.create_project(
                session,
                organisation=self.world.organisation,
                name="poor",
                budget=Money(Decimal(150)),
                actor=OPERATOR,
                now=now,
            )
            return [
                (self.world.organisation, self.world.project),
                (home.id, careful.id),
                (self.world.organisation, poor.id),
            ]

        self.tenants = self.database.run(people)
        for nodes, hours in ((1, Decimal("0.2")), (2, Decimal(1))):
            self.order_(0, nodes, hours, 0, 0, "now", 0, "0.5", "1")
        if begun:
            self.engine_runs(15, 2)

    def _boundary(self):
        if self.fuse is not None:
            self.fuse -= 1
            if self.fuse < 0:
                self.fuse = None
                raise Died

    def _mortal(self):
        plain = self.database.transaction

        @contextmanager
        def transaction(*, marked=True):
            with plain(marked=marked) as session:
                yield session
                session.flush()
                self._boundary()
            self._boundary()

        self.database.transaction = transaction

    def act(self, work):
        """Somebody asks for something, and asks again where the broker died; what is refused changes nothing."""
        try:
            try:
                return self.database.run(work)
            except Died:
                self.revive()
                return self.database.run(work)
        except BrokerError:
            return None

    def revive(self):
        self.engines = [self.world.new_engine(name=f"engine-{next(self.keys)}"), self.engines[1]]

    def tick(self, which=0):
        try:
            report = self.engines[which % 2].tick()
        except Died:
            self.revive()
            return
        assert not report.errors, report.errors

    # --- who there is

    def leases(self, *but):
        with self.database.reading() as session:
            return [lease for lease in service.running(session) if lease.state not in but]

    def lease(self, which):
        open_ = self.leases()
        return open_[which % len(open_)] if open_ else None

    def order(self, which, *states):
        with self.database.reading() as session:
            found = [o for o in orders.orders(session, actor=SYSTEM) if o.state in states]
        return found[which % len(found)] if found else None

    def node(self, which):
        with self.database.reading() as session:
            nodes = supply.nodes(session)
        return nodes[which % len(nodes)]

    def member(self, organisation, role="member"):
        return Actor("user", f"usr_{role}", organisation, None, role)

    def price(self, which):
        return Money(Decimal(["3", "2.5", "0.7"][which % 3]))

    def quote(self, tenant, nodes, hours, which, terms=None):
        now = self.clock.now()
        return self.database.run(
            lambda session: orders.store_quote(
                session,
                project=tenant[1],
                accelerator=CHIP,
                shape=SHAPE,
                nodes=nodes,
                count=8 * nodes,
                price_per_accelerator_hour=self.price(which),
                hours=hours,
                estimate={},
                terms=terms or {},
                job={},
                expires_at=now + HOUR,
                actor=SYSTEM,
                now=now,
            )
        )

    def opened(self, order):
        """An order may have become a lease: remember what was promised."""
        if order is not None and order.lease_id is not None:
            self.ends.setdefault(order.lease_id, order.ends_at)
            self.starts.setdefault(order.lease_id, order.starts_at)

    def _quiet(self, work):
        """Without dying."""
        fuse, self.fuse = self.fuse, None
        try:
            return work()
        finally:
            self.fuse = fuse

    def database_quiet(self, work):
        return self._quiet(lambda: self.database.run(work))


def same_chance(monkeypatch):
    """A function that makes identifiers begin anew, each time the same."""

    def reseed():
        chance = random.Random(1)
        stub = SimpleNamespace(
            randbits=chance.getrandbits, token_hex=lambda n: f"{chance.getrandbits(8 * n):0{2 * n}x}"
        )
        monkeypatch.setattr(ids, "secrets", stub)
        monkeypatch.setattr(simulated, "secrets", stub)
        monkeypatch.setattr(ids, "_last", (-1, 0))

    return reseed
