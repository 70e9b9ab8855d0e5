"""What must hold in every story, after every step and in the end.

The checks ask the tables and the provider's truth, and none of the broker's code that they judge.
"""

from __future__ import annotations

import shutil
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

from hypothesis.stateful import invariant
from sqlalchemy import text
from story_kit import LOOK, POLICY, Stage

from lease_kit import OPERATOR
from sublet.broker import compose, doctor
from sublet.broker.billing import charges, receipts
from sublet.broker.bookings.service import _bookings
from sublet.broker.leases import service
from sublet.broker.leases.states import FINAL, State
from sublet.broker.metering import service as metering
from sublet.broker.orders.values import OrderState
from sublet.broker.supply import service as supply
from sublet.broker.supply.values import NodeState
from sublet.broker.tenants.values import SYSTEM

US_PER_HOUR = 3_600_000_000

lived: Counter[str] = Counter()  # how the leases of all stories ended


class Checks(Stage):
    """Mixed into the machine: `holds` after each step, `settle` in the end."""

    bookings: dict[str, tuple[Any, ...]]
    outages: dict[tuple[str, str], datetime]
    faults_are_over: Any  # of story_ground

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
        self.check_outages()
        self.check_one_name()
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
            found = _bookings(session)
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
            held = [b for b in _bookings(session) if b.holder in whose]
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
            usage = {lease.id: metering.records(session, lease.id) for lease in found}
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
                assert record.end <= lease.ends_at, f"{lease.id} is billed beyond its end"
                since, until = record.start.timestamp(), record.end.timestamp()
                alive = [
                    node
                    for node in (lives[ref] for ref in refs[record.node_id])
                    if node["ready_at"] <= since + 1e-3
                    and all(node[at] is None or until <= node[at] + 1e-3 for at in ("dies_at", "ended_at"))
                ]
                assert alive, (
                    f"{lease.id} is billed for {record.node_id} from {record.start} to {record.end}: not alive"
                )
        for node, spans in billed.items():
            spans.sort()
            for (_, end, one), (start, _, other) in pairwise(spans):
                assert end <= start, f"{node} is billed to {one} and {other} at {start}"

    def check_outages(self):
        """A node that the operator calls failed is not billed from then on, for as long as he does."""
        if not self.outages:
            return
        with self.database.reading() as session:
            failed = {node.id for node in supply.nodes(session, state=NodeState.FAILED)}
            self.outages = {held: since for held, since in self.outages.items() if held[1] in failed}
            for (lease_id, node_id), since in self.outages.items():
                late = [
                    (record.start, record.end)
                    for record in metering.records(session, lease_id)
                    if record.billable and record.node_id == node_id and record.end > since
                ]
                assert not late, f"{lease_id}: {node_id} was called failed at {since} and is billed for {late}"

    def check_one_name(self):
        """No node is at the provider for two leases at once: the next one waits until the last one gave it back."""
        going = {lease.id for lease in self.leases(State.TERMINATED)}
        whose = defaultdict(set)
        for node in self.provider.truth():
            if node.tag in going:
                whose[node.node].add(node.tag)
        twice = {name: tags for name, tags in whose.items() if len(tags) > 1}
        assert not twice, f"made for two leases: {twice}"

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
        for _ in range(12 if self.patient else 0):  # some come to their end by themselves
            self.clock.advance(600)
            self.tick()
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
        records = metering.records(session, lease.id)
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


def moment(value):
    """A moment as the driver gave it."""
    return value if isinstance(value, datetime) else datetime.fromisoformat(value).replace(tzinfo=UTC)
