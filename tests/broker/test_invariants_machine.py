"""What must always hold, after every step of any story: a state machine over the whole broker.

A story is whatever people, providers and time may do to a broker of two tenants, three projects and a handful of nodes:
orders of every kind, changes of every term, faults of every kind, an operator who buys, cordons, repairs and caps, two
engines, and a process that dies at any commit or provider call. After each step the doctor looks, and so do checks of
our own that ask the tables and the provider's truth and none of the broker's code. In the end everything is settled.

More and longer stories: SUBLET_MACHINE_EXAMPLES=2000 SUBLET_MACHINE_STEPS=60 (drawn by chance then), on PostgreSQL with
SUBLET_MACHINE_DATABASE=postgresql.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections import Counter, defaultdict
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import count, pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import text

from lease_kit import CHIP, OPERATOR, SHAPE, World, fleet
from sublet.broker import compose, doctor
from sublet.broker.billing import charges, receipts
from sublet.broker.errors import BrokerError, Unauthenticated
from sublet.broker.leases import caps, service, store
from sublet.broker.leases.policy import Policy
from sublet.broker.leases.states import FINAL, State
from sublet.broker.orders import service as orders
from sublet.broker.orders.values import OrderState
from sublet.broker.supply import service as supply
from sublet.broker.supply import upkeep
from sublet.broker.supply.values import NodeState
from sublet.broker.tenants import service as tenants
from sublet.broker.tenants import tokens
from sublet.broker.tenants.values import SYSTEM
from sublet.providers import simulated
from sublet.providers.simulated import SimulatedProvider
from sublet.providers.simulated_faults import Fault
from sublet.qualification.rehearsal import respond
from sublet.storage import ids
from sublet.storage.clock import VirtualClock
from sublet.storage.engine import Database
from sublet.units import Money

EXAMPLES, STEPS = int(os.environ.get("SUBLET_MACHINE_EXAMPLES", "0")), int(os.environ.get("SUBLET_MACHINE_STEPS", "0"))
LOOK = 1 if EXAMPLES else 4  # every so many steps the doctor looks: it costs more than all the rest
NODES = 5
S, HOUR = timedelta(seconds=1), timedelta(hours=1)
POLICY = Policy(quiet=600 * S, orphan_after=60 * S, ready_within=600 * S, hopeless_after=600 * S)
US_PER_HOUR = 3_600_000_000

some = st.integers(0, 11)  # which of those there are: taken modulo how many
lengths = st.sampled_from([Decimal("0.05"), Decimal("0.2"), Decimal(1), Decimal(3)])
offsets = st.sampled_from([0, 60, 600, 1800, 3600, 7200])  # seconds from now
pauses = st.sampled_from([0, 1, 2, 5, 20, 40, 61, 300, 600, 1800, 3700])
reasons = "as the story goes"


lived: Counter[str] = Counter()  # how the leases of all stories ended


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


class Broker(RuleBasedStateMachine):
    """See the module. `place` makes an empty database: set by the test."""

    place: Any = staticmethod(lambda: None)

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
        begun=st.booleans(),
    )
    def opens(self, proves, ends, boot, late, spare, begun):
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
        self.bookings: dict[str, tuple] = {}
        self.ends: dict[str, object] = {}
        self.starts: dict[str, object] = {}
        self.tickets: list[tuple[str, str]] = []
        self.windows: list[str] = []
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
        from sublet.broker.tenants.values import Actor

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

    # --- what tenants do

    @rule(
        which=some,
        nodes=st.integers(1, 3),
        hours=lengths,
        offset=offsets,
        window=st.sampled_from([3600, 14400]),
        when=st.sampled_from(["now", "now", "start", "window"]),
        rate=some,
        refund=st.sampled_from(["1", "0.5", "0"]),
        credit=st.sampled_from(["0", "1"]),
    )
    def order_(self, which, nodes, hours, offset, window, when, rate, refund, credit):
        tenant = self.tenants[which % 3]
        quote = self._quiet(
            lambda: self.quote(tenant, nodes, hours, rate, {"early_end_refund": refund, "lost_time_credit": credit})
        )
        at = self.clock.now()
        placed = self.act(
            lambda session: compose.place_order(
                session,
                quote=quote.id,
                start=at + offset * S if when == "start" else None,
                window_end=at + window * S if when == "window" else None,
                idempotency_key=quote.id,
                actor=self.member(tenant[0]),
                now=at,
            )
        )
        self.opened(placed)

    @rule(nodes=st.integers(1, 3), hours=lengths)
    def order_now(self, nodes, hours):
        self.order_(0, nodes, hours, 0, 0, "now", 0, "1", "0")

    def _quiet(self, work):
        """Without dying."""
        fuse, self.fuse = self.fuse, None
        try:
            return work()
        finally:
            self.fuse = fuse

    @rule(which=some, yes=st.booleans())
    def approve(self, which, yes):
        pending = self.order(which, OrderState.PENDING_APPROVAL)
        if pending is not None:
            admin, now = self.member(pending.organisation, "admin"), self.clock.now()
            if yes:
                self.opened(self.act(lambda session: compose.approve_order(session, pending.id, actor=admin, now=now)))
            else:
                self.act(lambda session: orders.reject(session, pending.id, reason=reasons, actor=admin, now=now))

    @rule(which=some)
    def cancel(self, which):
        found = self.order(which, OrderState.ACCEPTED, OrderState.WAITLISTED, OrderState.PENDING_APPROVAL)
        if found is not None:
            now = self.clock.now()
            self.act(
                lambda session: compose.cancel_order(session, found.id, actor=self.member(found.organisation), now=now)
            )

    @rule(which=some, hours=lengths, requoted=st.booleans(), rate=some)
    def extend(self, which, hours, requoted, rate):
        lease = self.lease(which)
        if lease is None:
            return
        now, key = self.clock.now(), f"key-{next(self.keys)}"
        until = lease.ends_at + timedelta(seconds=int(hours * 3600))
        quote = self._quiet(lambda: self.quote((lease.organisation, lease.project), lease.nodes, hours, rate))
        done = self.act(
            lambda session: compose.extend_lease(
                session,
                lease.id,
                until=until,
                quote=quote.id if requoted else None,
                idempotency_key=key,
                actor=self.member(lease.organisation),
                now=now,
            )
        )
        if done is not None:
            self.ends[lease.id] = until

    @rule(which=some, rate=some)
    def renew(self, which, rate):
        lease = self.lease(which)
        if lease is None:
            return
        now, key = self.clock.now(), f"key-{next(self.keys)}"
        quote = self._quiet(lambda: self.quote((lease.organisation, lease.project), lease.nodes, Decimal(1), rate))
        done = self.act(
            lambda session: compose.renew_lease(
                session,
                lease.id,
                quote=quote.id,
                idempotency_key=key,
                actor=self.member(lease.organisation),
                now=now,
            )
        )
        if done is not None:
            assert done.ends_at > lease.ends_at
            self.ends[lease.id] = done.ends_at

    @rule(which=some, offset=offsets)
    def shorten(self, which, offset):
        lease = self.lease(which)
        if lease is None:
            return
        now, key = self.clock.now(), f"key-{next(self.keys)}"
        until = max(now, lease.starts_at) + (offset + 1) * S
        done = self.act(
            lambda session: service.shorten(
                session, lease.id, until=until, idempotency_key=key, actor=self.member(lease.organisation), now=now
            )
        )
        if done is not None:
            self.ends[lease.id] = until

    @rule(which=some, operator=st.booleans())
    def end(self, which, operator):
        lease = self.lease(which)
        if lease is not None:
            actor, now = OPERATOR if operator else self.member(lease.organisation), self.clock.now()
            self.act(lambda session: service.request_end(session, lease.id, actor=actor, now=now))

    @rule(which=some)
    def token_is_issued_used_and_revoked(self, which):
        home, _ = self.tenants[which % 3]
        now = self.clock.now()
        if len(self.tickets) < 2:
            made = self.act(
                lambda session: tokens.issue_token(
                    session, organisation=home, name="t", role="member", actor=self.member(home, "admin"), now=now
                )
            )
            if made is not None:
                self.tickets.append((made[0].id, made[1]))
        else:
            token, secret = self.tickets.pop()
            self.database_quiet(lambda session: tokens.authenticate(session, secret, address="", now=now))
            self.act(lambda session: tokens.revoke_token(session, token, actor=OPERATOR, now=now))
            with pytest.raises(Unauthenticated):
                self.database_quiet(lambda session: tokens.authenticate(session, secret, address="", now=now))

    def database_quiet(self, work):
        return self._quiet(lambda: self.database.run(work))

    # --- what the operator does

    @rule(nodes=st.integers(1, 2), hours=lengths, offset=offsets)
    def buy(self, nodes, hours, offset):
        now = self.clock.now()
        start = now + offset * S
        with self.database.reading() as session:
            if len(supply.nodes(session)) > NODES + 4:
                return
        self.act(
            lambda session: supply.add_contract(
                session,
                provider=self.provider.name,
                accelerator=CHIP,
                shape=SHAPE,
                nodes=nodes,
                accelerators_per_node=8,
                price_per_node_hour=Money(Decimal(17)),
                start=start,
                end=start + timedelta(seconds=int(hours * 3600)),
                cluster="fabric",
                sold={"cpus": 64, "memory_bytes": 1e12},
                actor=OPERATOR,
                now=now,
            )
        )

    @rule(which=some, state=st.sampled_from([*NodeState, NodeState.HEALTHY, NodeState.DELIVERED, NodeState.DELIVERED]))
    def node_state(self, which, state):
        node, now = self.node(which), self.clock.now()
        self.act(lambda session: supply.set_node(session, node.id, state, reasons, actor=OPERATOR, now=now))

    @rule(which=some, offset=offsets, outage=st.booleans())
    def repair(self, which, offset, outage):
        node, now = self.node(which), self.clock.now()
        window = {"start": now + offset * S, "reason": reasons, "actor": OPERATOR, "now": now}
        if outage:
            self.act(lambda session: upkeep.report_outage(session, node.id, until=window["start"] + HOUR / 2, **window))
            return
        made = self.act(
            lambda session: upkeep.plan_maintenance(
                session, node_ids=[node.id], end=window["start"] + HOUR / 2, **window
            )
        )
        self.windows += [booking.holder for booking in made or ()]

    @precondition(lambda self: self.world and self.windows)
    @rule()
    def repair_is_over(self):
        window, now = self.windows.pop(), self.clock.now()
        self.act(lambda session: upkeep.end_maintenance(session, window, actor=OPERATOR, now=now))

    @rule(
        which=some,
        kind=st.sampled_from(["organisation", "project", "group"]),
        nodes=st.sampled_from([None, 0, 1, 2, 3, 4]),
        accelerators=st.sampled_from([None, 8, 16, 24]),
    )
    def cap(self, which, kind, nodes, accelerators):
        tenant, now = self.tenants[which % 3], self.clock.now()
        subject = {"organisation": tenant[0], "project": tenant[1], "group": "holding"}[kind]
        self.act(
            lambda session: caps.set_cap(
                session, kind=kind, subject=subject, nodes=nodes, accelerators=accelerators, actor=OPERATOR, now=now
            )
        )

    @rule(which=some, group=st.sampled_from([None, "holding"]))
    def affiliate(self, which, group):
        home, now = self.tenants[which % 3][0], self.clock.now()
        self.act(lambda session: caps.set_group(session, home, group, actor=OPERATOR, now=now))

    @rule(more=st.integers(0, 3))
    def budget_grows(self, more):
        project, now = self.tenants[2][1], self.clock.now()
        with self.database.reading() as session:
            budget = tenants.project(session, project, actor=SYSTEM).budget
        grown = (budget or Money(Decimal(0))) + Money(Decimal(50 * more))
        self.act(lambda session: tenants.update_project(session, project, budget=grown, actor=OPERATOR, now=now))

    @rule(which=some)
    def credit(self, which):
        lease, now, key = self.lease(which), self.clock.now(), f"key-{next(self.keys)}"
        if lease is not None:
            self.act(
                lambda session: charges.credit(
                    session,
                    store.lease_of(session, lease.id),
                    Money(Decimal("0.25")),
                    reason=reasons,
                    reference=key,
                    actor=OPERATOR,
                    now=now,
                )
            )

    @rule(which=some)
    def declared_gone(self, which):
        """The operator may say so only where it is so: otherwise he leaks what he lies about."""
        lease, now = self.lease(which), self.clock.now()
        if lease is not None and not self.provider.truth(lease.id):
            self.act(lambda session: service.declare_gone(session, lease.id, reason=reasons, actor=OPERATOR, now=now))

    # --- what the provider does

    @rule(
        kind=st.sampled_from(
            [
                "timeout-before-create",
                "timeout-after-create",
                "duplicate-create",
                "partial-gang",
                "wrong-chip",
                "less-memory",
                "slow-boot",
                "node-dies",
                "node-vanishes",
                "capacity-withdrawn",
                "price-changed",
                "empty-list",
                "stale-list",
                "endpoint-gone",
                "slow",
                "terminate-ignored",
                "timeout-after-terminate",
                "command-fails",
                "command-hangs",
            ]
        ),
        times=st.integers(1, 4),
        skip=st.integers(0, 2),
        seconds=st.sampled_from([1.0, 10.0, 70.0, 700.0]),
    )
    def fault(self, kind, times, skip, seconds):
        more: dict[str, Any] = {"price": Money(Decimal(40))} if kind == "price-changed" else {}
        if kind == "slow":
            seconds = min(seconds, 10.0)
        self.provider.script(Fault(kind, times=times, skip=skip, seconds=seconds, value="A100 80GB", **more))

    @rule()
    def provider_goes_away(self):
        if self.down_since is None:
            self.provider.script(Fault("provider-down", times=None))
            self.down_since = self.clock.now()

    @rule()
    def provider_is_back(self):
        self.provider.clear("provider-down")
        self.down_since = None

    @rule()
    def faults_are_over(self):
        self.provider.clear()
        self.provider.script(Fault("price-changed", price=Money(Decimal(16))))
        self.down_since = None

    @rule(which=some, vanishes=st.booleans())
    def node_dies(self, which, vanishes):
        if truth := self.provider.truth():
            self.provider.kill_node(truth[which % len(truth)].ref, vanishes=vanishes)

    # --- time, and the broker's own life

    @rule(seconds=pauses, engine=st.integers(0, 1))
    def time_passes(self, seconds, engine):
        self.clock.advance(seconds)
        self.tick(engine)

    @rule(step=st.sampled_from([2, 15, 60]), times=st.integers(2, 8))
    def engine_runs(self, step, times):
        for _ in range(times):
            self.clock.advance(step)
            self.tick()

    @rule(boundaries=st.integers(0, 12))
    def process_will_die(self, boundaries):
        self.fuse = boundaries

    # --- what must hold

    @invariant()
    def holds(self):
        if self.world is None:
            return
        self._quiet(self._check)

    def _check(self):
        if next(self.looks) % LOOK == 0:
            self.check_doctor("orphans")
        self.check_bookings()
        self.check_caps()
        self.check_usage()
        self.check_ledger()
        self.check_unknown()

    def check_doctor(self, *but):
        for check in doctor.examine(self.database, now=self.clock.now()):
            said = [
                f.sentence for f in check.findings if check.name not in but and "no engine looked" not in f.sentence
            ]
            assert not said, (check.name, said)

    def rows(self, statement):
        with self.database.reading() as session:
            return session.execute(text(statement)).all()

    def check_bookings(self):
        """A booking is kept, moves nowhere, overlaps none; the gang is whole for as long as it is promised."""
        with self.database.reading() as session:
            found = compose_bookings(session)
            leases = {lease.id: lease for lease in service.leases(session, actor=SYSTEM, limit=10_000)}
        now = {b.id: (b.node_id, b.holder, b.kind, b.starts_at) for b in found}
        for id_, before in self.bookings.items():
            assert now.get(id_) == before, f"booking {id_} was {before} and is {now.get(id_)}"
        self.bookings = now
        by_node = defaultdict(list)
        for booking in found:
            if booking.starts_at < booking.ends_at:
                by_node[booking.node_id].append((booking.starts_at, booking.ends_at, booking.holder))
        for node, spans in by_node.items():
            spans.sort()
            for (_, end, one), (start, _, other) in pairwise(spans):
                assert end <= start, f"{node} is {one}'s and {other}'s at {start}"
        for lease in leases.values():
            if lease.id in self.ends:
                assert lease.starts_at == self.starts[lease.id], f"{lease.id} moved"
                assert lease.ends_at == self.ends[lease.id], f"{lease.id} ends otherwise than agreed"
            else:  # promoted by the engine
                self.ends[lease.id], self.starts[lease.id] = lease.ends_at, lease.starts_at
            if lease.state in FINAL or lease.state is State.TERMINATED:
                continue
            mine = [b for b in found if b.holder == lease.id and b.starts_at < b.ends_at]
            instants = {at for b in mine for at in (b.starts_at, b.ends_at)} | {lease.starts_at}
            for at in instants:
                if lease.starts_at <= at < lease.ends_at:
                    there = {b.node_id for b in mine if b.covers(at)}
                    assert len(there) == lease.nodes, f"{lease.id}: {len(there)} of {lease.nodes} nodes at {at}"

    def check_caps(self):
        """No tenant over its cap, counted from the tables alone."""
        known = self.rows("SELECT kind, subject, nodes, accelerators FROM caps")
        if not known:
            return
        groups = dict(self.rows('SELECT id, "group" FROM organisations'))
        with self.database.reading() as session:
            whose = {lease.id: lease for lease in service.leases(session, actor=SYSTEM, limit=10_000)}
            held = [b for b in compose_bookings(session) if b.holder in whose]
        for kind, subject, nodes, accelerators in known:
            mine = [
                b
                for b in held
                if subject
                == {
                    "organisation": whose[b.holder].organisation,
                    "project": whose[b.holder].project,
                    "group": groups[whose[b.holder].organisation],
                }[kind]
            ]
            now = self.clock.now()
            for at in {max(b.starts_at, now) for b in mine}:
                use = sum(b.covers(at) for b in mine)
                assert nodes is None or use <= nodes, f"{kind} {subject} holds {use} of {nodes} nodes at {at}"
                assert accelerators is None or 8 * use <= accelerators, f"{kind} {subject}: {use} nodes at {at}"

    def check_usage(self):
        """What is billed was served: by a node that was made for this lease and alive, within the lease, once."""
        with self.provider._state.reading() as connection:
            lives = {
                row["ref"]: row
                for row in connection.execute(
                    "SELECT ref, node, tag, ready_at, dies_at, ended_at FROM nodes"
                ).fetchall()
            }
        with self.database.reading() as session:
            found = service.leases(session, actor=SYSTEM, limit=10_000)
            usage = {lease.id: compose_usage(session, lease.id) for lease in found}
        billed = defaultdict(list)
        for lease in found:
            refs = defaultdict(set)
            for member in lease.members:
                if member.ref:
                    refs[member.node_id].add(member.ref)
            for record in usage[lease.id]:
                if not record.billable:
                    continue
                billed[record.node_id].append((record.start, record.end, lease.id))
                assert lease.active_at is not None, f"{lease.id} never served and is billed"
                assert lease.active_at <= record.start, f"{lease.id} is billed before it was active"
                assert record.end <= lease.ends_at or record.end <= max(lease.ends_at, lease.ended_at or lease.ends_at)
                start, end = record.start.timestamp(), record.end.timestamp()
                alive = [
                    node
                    for node in (lives[ref] for ref in refs[record.node_id])
                    if node["ready_at"] <= start + 1e-3
                    and all(node[at] is None or end <= node[at] + 1e-3 for at in ("dies_at", "ended_at"))
                ]
                assert alive, (
                    f"{lease.id} is billed for {record.node_id} from {record.start} to {record.end}: not alive"
                )
        for node, spans in billed.items():
            spans.sort()
            for (_, end, one), (start, _, other) in pairwise(spans):
                assert end <= start, f"{node} is billed to {one} and {other} at {start}"

    def check_ledger(self):
        """Every transaction sums to zero in each currency."""
        sums: dict[Any, Decimal] = defaultdict(Decimal)
        for transaction, currency, amount in self.rows("SELECT transaction_id, currency, amount FROM ledger_entries"):
            sums[transaction, currency] += Decimal(amount)
        assert not any(sums.values()), sums

    def check_unknown(self):
        """What nobody could see for a while is not called active."""
        if self.down_since is None or self.clock.now() - self.down_since < POLICY.unknown_after + 2 * POLICY.watch:
            return
        for lease in self.leases():
            if lease.state is State.ACTIVE and lease.seen_at is not None and lease.active_at < self.down_since:
                unseen = self.clock.now() - lease.seen_at
                looked = self.rows(f"SELECT next_at FROM leases WHERE id = '{lease.id}'")
                due = str(looked[0][0])[:19] <= f"{self.clock.now():%Y-%m-%d %H:%M:%S}"
                assert due or unseen < POLICY.unknown_after + 2 * POLICY.watch, (
                    f"{lease.id} is active, unseen for {unseen}"
                )

    # --- the end

    def teardown(self):
        try:
            if self.world is not None:
                self.fuse = None
                self.settle()
        finally:
            self.database.close()
            self.forget()
            shutil.rmtree(self.folder, ignore_errors=True)

    def settle(self):
        """When all is over nothing is left anywhere, and every second and every cent is where it should be."""
        self.faults_are_over()
        now = self.clock.now()
        while (waiting := self.order(0, OrderState.WAITLISTED, OrderState.PENDING_APPROVAL)) is not None:
            self.act(lambda session: compose.cancel_order(session, waiting.id, actor=OPERATOR, now=now))
        for lease in self.leases():
            self.act(lambda session, lease=lease: service.request_end(session, lease.id, actor=OPERATOR, now=now))
        for turn in range(80):
            self.clock.advance(20 if turn < 20 else 120)
            self.tick(turn)
            if not self.leases() and turn % 5 == 4 and not self.provider.truth():
                break
        left = [(lease.id, lease.state, lease.reason) for lease in self.leases()]
        assert not left, left
        assert not self.provider.truth(), f"leaked: {self.provider.truth()}"
        for _ in range(3):
            self.clock.advance(60)
            self.tick()
        self._check()
        self.check_doctor()
        with self.database.reading() as session:
            for lease in service.leases(session, actor=SYSTEM, limit=10_000):
                self.check_bill(session, lease)
                lived[lease.state] += 1

    def check_bill(self, session, lease):
        """A lease is charged for what was metered, at the price agreed for that time, and its receipt says so."""
        records = compose_usage(session, lease.id)
        agreed = [(lease.starts_at, lease.price_per_accelerator_hour.amount)]
        query = text("SELECT starts_at, rate FROM lease_prices WHERE lease_id = :id ORDER BY id")
        agreed += [(moment(at), Decimal(rate)) for at, rate in session.execute(query, {"id": lease.id})]
        owed = Fraction(0)
        for record in records:
            if record.billable:
                edges = sorted({record.start, record.end, *(at for at, _ in agreed if record.start < at < record.end)})
                for start, end in pairwise(edges):
                    rate = [rate for at, rate in agreed if at <= start][-1]
                    owed += Fraction((end - start) // timedelta(microseconds=1) * 8, US_PER_HOUR) * Fraction(rate)
        query = text("SELECT amount FROM charges WHERE lease_id = :id AND side = 'price' AND kind = 'usage'")
        charged = sum(
            (Fraction(Decimal(amount)) for (amount,) in session.execute(query, {"id": lease.id})), Fraction(0)
        )
        assert abs(owed - charged) < Fraction(1, 10**9), (
            f"{lease.id} used {float(owed)} and is charged {float(charged)}"
        )
        if lease.state is State.SETTLED:
            receipt = receipts.of_lease(session, lease.id, actor=SYSTEM)
            assert receipt.total == charges.charged(session, lease), lease.id
            assert receipt.total.amount >= 0
        else:
            assert not any(record.billable for record in records), f"{lease.id} is {lease.state} and has usage"


def compose_bookings(session):
    """Every booking there is."""
    from sublet.broker.bookings.service import _bookings

    return _bookings(session)


def compose_usage(session, lease_id):
    from sublet.broker.metering import service as metering

    return metering.records(session, lease_id)


def moment(value):
    """A moment as the driver gave it."""
    from datetime import UTC, datetime

    return value if isinstance(value, datetime) else datetime.fromisoformat(value).replace(tzinfo=UTC)


@pytest.fixture
def same_chance(monkeypatch):
    """The same story makes the same identifiers, so that a failure is found again."""

    def reseed():
        chance = random.Random(1)
        stub = SimpleNamespace(
            randbits=chance.getrandbits, token_hex=lambda n: f"{chance.getrandbits(8 * n):0{2 * n}x}"
        )
        monkeypatch.setattr(ids, "secrets", stub)
        monkeypatch.setattr(simulated, "secrets", stub)
        monkeypatch.setattr(ids, "_last", (-1, 0))

    return reseed


def test_the_invariants_hold_after_every_step_of_any_story(request, same_chance):
    kind = os.environ.get("SUBLET_MACHINE_DATABASE", "sqlite")
    if kind == "sqlite":
        template = request.getfixturevalue("sqlite_template")
        memory = Path("/dev/shm")

        def make():
            folder = Path(tempfile.mkdtemp(prefix="sublet-story-", dir=memory if memory.is_dir() else None))
            shutil.copy(template, folder / "sublet.db")
            return Database.open(folder), lambda: shutil.rmtree(folder, ignore_errors=True)
    else:
        cluster = request.getfixturevalue("postgres")
        empty = request.getfixturevalue("postgresql_template")

        def make():
            url = cluster.create(empty)
            return Database.open(url), lambda: cluster.drop(url)

    def place():
        same_chance()
        return make()

    Story = type("Story", (Broker,), {"place": staticmethod(place)})
    run_state_machine_as_test(
        Story,
        settings=settings(
            max_examples=EXAMPLES or 20,
            stateful_step_count=STEPS or 25,
            deadline=None,
            derandomize=not EXAMPLES,
            database=None,
            suppress_health_check=list(HealthCheck),
            print_blob=False,
        ),
    )
    print(f"{lived.total()} leases: {dict(lived)}")
    assert lived[State.SETTLED] > 10
