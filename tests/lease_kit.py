"""A small broker to test leases with: one tenant, one contract, a simulated provider, an engine, a clock to move."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from sublet.broker import compose
from sublet.broker.billing import charges, prices
from sublet.broker.leases import history, orphans, service, store
from sublet.broker.leases.engine import Engine, Report
from sublet.broker.leases.policy import Policy
from sublet.broker.leases.states import FINAL, State
from sublet.broker.leases.values import Lease
from sublet.broker.metering import service as metering
from sublet.broker.orders import service as orders
from sublet.broker.orders.values import Order, StoredQuote
from sublet.broker.supply import service as supply
from sublet.broker.tenants import service as tenants
from sublet.broker.tenants.values import SYSTEM, Actor
from sublet.providers.simulated import SimulatedProvider
from sublet.providers.simulated_fleet import Fleet, FleetShape
from sublet.qualification.certificate import Signer, load_signer
from sublet.qualification.rehearsal import respond
from sublet.storage.clock import VirtualClock
from sublet.storage.engine import Database
from sublet.units import Money

OPERATOR = Actor("user", "usr_operator", None, None, "operator")
SHAPE, CHIP = "8xh100", "H100 SXM"
HOUR = timedelta(hours=1)


def fleet(nodes: int = 8, **terms: Any) -> Fleet:
    """`nodes` nodes with eight H100 each; terms of `Fleet` (proves_absence=...) or of `FleetShape` (boot_s=...)."""
    own = {name: terms.pop(name) for name in ("boot_s", "terminate_s") if name in terms}
    shape = FleetShape(
        SHAPE, nodes, Money(Decimal(16)), accelerator=CHIP, accelerators_per_node=8, cpus=64, memory_bytes=1e12, **own
    )
    return Fleet((shape,), **terms)


class World:
    """Everything that a lease lives in, and words for what a test does with it."""

    def __init__(
        self,
        database: Database,
        clock: VirtualClock,
        folder: Path,
        *,
        nodes: int = 8,
        policy: Policy | None = None,
        provider: SimulatedProvider | None = None,
        **terms: Any,
    ) -> None:
        self.database, self.clock, self.policy = database, clock, policy or Policy()
        self.provider = provider or SimulatedProvider(fleet(nodes, **terms), clock, respond=respond)
        self.signer: Signer = load_signer(folder)
        self.engine = self.new_engine()
        self.organisation, self.project = self.run(self._tenant)
        self.member = Actor("user", "usr_test", self.organisation, None, "member")
        self.admin = Actor("user", "usr_admin", self.organisation, None, "admin")
        self.run(
            lambda session: supply.add_contract(
                session,
                provider=self.provider.name,
                accelerator=CHIP,
                shape=SHAPE,
                nodes=nodes,
                accelerators_per_node=8,
                price_per_node_hour=Money(Decimal(16)),
                start=clock.now() - HOUR,
                end=clock.now() + timedelta(days=60),
                cluster="fabric",
                sold={"cpus": 64, "memory_bytes": 1e12},
                actor=OPERATOR,
                now=clock.now(),
            )
        )

    def new_engine(self, **options: Any) -> Engine:
        return compose.lease_engine(
            self.database,
            {self.provider.name: self.provider},
            self.clock,
            self.signer,
            policy=self.policy,
            **options,
        )

    def run(self, work: Any) -> Any:
        return self.database.run(work)

    def _tenant(self, session: Session) -> tuple[str, str]:
        now = self.clock.now()
        home = tenants.create_organisation(session, name="Acme", actor=OPERATOR, now=now)
        project = tenants.create_project(session, organisation=home.id, name="llm", actor=OPERATOR, now=now)
        return home.id, project.id

    def quote(
        self, nodes: int = 1, hours: float = 1, price: str = "3", terms: Mapping[str, Any] | None = None
    ) -> StoredQuote:
        """A stored quote that holds for an hour."""
        now = self.clock.now()
        stored: StoredQuote = self.run(
            lambda session: orders.store_quote(
                session,
                project=self.project,
                accelerator=CHIP,
                shape=SHAPE,
                nodes=nodes,
                count=8 * nodes,
                price_per_accelerator_hour=Money(Decimal(price)),
                hours=Decimal(str(hours)),
                estimate={},
                terms=dict(terms or {}),
                job={},
                expires_at=now + HOUR,
                actor=self.member,
                now=now,
            )
        )
        return stored

    def order(
        self,
        nodes: int = 1,
        hours: float = 1,
        *,
        start: datetime | None = None,
        price: str = "3",
        terms: Mapping[str, Any] | None = None,
    ) -> Order:
        """Accept a quote of `nodes` nodes, from now (or `start`) for `hours`."""
        quote = self.quote(nodes, hours, price, terms)
        placed: Order = self.run(
            lambda session: compose.place_order(
                session,
                quote=quote.id,
                start=start,
                idempotency_key=quote.id,
                actor=self.member,
                now=self.clock.now(),
            )
        )
        return placed

    def lease(self, nodes: int = 1, hours: float = 1, **options: Any) -> str:
        """The id of the lease of an order that can be served at once."""
        placed = self.order(nodes, hours, **options)
        assert placed.lease_id is not None, placed.reason
        return placed.lease_id

    def tick(self, seconds: float = 0, *, engine: Engine | None = None) -> Report:
        """Let time pass and make one pass."""
        self.clock.advance(seconds)
        report = (engine or self.engine).tick()
        assert not report.errors, report.errors
        return report

    def passes(self, span: float, step: float = 15) -> None:
        """Passes every `step` seconds for `span` seconds."""
        for _ in range(int(span / step)):
            self.tick(step)

    def until(self, lease_id: str, *states: State, step: float = 2, most: int = 400) -> Lease:
        """Tick until the lease is in one of `states`."""
        for turn in range(most):
            lease = self.get(lease_id)
            if lease.state in states:
                return lease
            self.tick(step if turn else 0)
        lease = self.get(lease_id)
        raise AssertionError(f"{lease_id} is {lease.state} ({lease.reason}), not {states}: {self.history(lease_id)}")

    def active(self, nodes: int = 1, hours: float = 1, **options: Any) -> Lease:
        """A lease that serves."""
        return self.until(self.lease(nodes, hours, **options), State.ACTIVE)

    def get(self, lease_id: str) -> Lease:
        with self.database.reading() as session:
            return store.lease_of(session, lease_id)

    def history(self, lease_id: str) -> list[str]:
        with self.database.reading() as session:
            return [f"{e.state}: {e.reason}" for e in history.events(session, lease_id=lease_id, limit=1000)]

    def states(self, lease_id: str) -> list[str]:
        """The states that the lease went through."""
        with self.database.reading() as session:
            found = history.events(session, lease_id=lease_id, limit=1000)
        return [str(event.state) for event in found if event.kind in ("state", "notice")]

    def usage(self, lease_id: str) -> tuple[Any, ...]:
        with self.database.reading() as session:
            return metering.records(session, lease_id)

    def billed_s(self, lease_id: str) -> float:
        """Node-seconds that the tenant pays."""
        return math.fsum((r.end - r.start).total_seconds() for r in self.usage(lease_id) if r.billable)

    def charged(self, lease_id: str) -> Money:
        with self.database.reading() as session:
            return charges.charged(session, store.lease_of(session, lease_id))

    def orphans(self) -> tuple[orphans.Orphan, ...]:
        with self.database.reading() as session:
            return orphans.listed(session)

    def end(self, lease_id: str, actor: Actor | None = None) -> None:
        self.run(
            lambda session: service.request_end(session, lease_id, actor=actor or self.member, now=self.clock.now())
        )

    def settle_all(self, most: int = 300, step: float = 120) -> None:
        """Tick until every lease is over."""
        for _ in range(most):
            with self.database.reading() as session:
                left = service.running(session)
            if not left:
                return
            self.tick(step)
        raise AssertionError([(lease.id, lease.state, lease.reason) for lease in left])

    def check(self) -> None:
        """What must hold at any time; and, for leases that are over, what must hold in the end."""
        from sublet.broker import doctor

        for check in doctor.examine(self.database, now=self.clock.now()):
            if check.name != "orphans":
                assert check.holds, [finding.sentence for finding in check.findings]
        with self.database.reading() as session:
            over = [lease for lease in service.leases(session, actor=SYSTEM, limit=10_000) if lease.state in FINAL]
        for lease in over:
            assert not self.provider.truth(lease.id), f"{lease.id} is {lease.state} and left nodes behind"
            if not lease.terms:
                with self.database.reading() as session:
                    rates = prices.schedule(session, lease)
                hours = Decimal(str(self.billed_s(lease.id))) * 8 / 3600
                owed = self.charged(lease.id).amount
                if len(rates) == 1:
                    assert abs(owed - hours * rates[0].price.amount) <= Decimal("0.005"), lease.id
