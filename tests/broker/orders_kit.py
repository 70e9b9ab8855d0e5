"""A small broker for the tests of orders: a fleet, two tenants, and what stands in for leases and budgets."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sublet.broker.bookings import service as bookings
from sublet.broker.errors import Refused
from sublet.broker.orders import service as orders
from sublet.broker.tenants import service as tenants
from sublet.broker.tenants.values import Actor, Organisation, Project
from sublet.storage import ids
from sublet.units import Money

ZERO = datetime(2026, 1, 1, tzinfo=UTC)
OPERATOR = Actor("user", "usr_operator", None, None, "operator")
SHAPE = "hgx-h100-8"


def at(hour: float) -> datetime:
    return ZERO + timedelta(hours=hour)


def usd(amount: str | int) -> Money:
    return Money(Decimal(amount))


@dataclass(frozen=True)
class FakeLease:
    id: str


@dataclass
class House:
    """Two tenants and a fleet of `nodes` nodes, open for 100 hours; an accelerator-hour costs 2 USD."""

    session: Any
    nodes: int = 2
    budget: Money | None = None
    spent: Money = field(default_factory=lambda: usd(0))
    leases: list[dict[str, Any]] = field(default_factory=list)
    keys: int = 0

    def __post_init__(self) -> None:
        names = [f"nod_{number}" for number in range(self.nodes)]
        if names:
            bookings.enter(self.session, node_ids=names, shape=SHAPE, cluster="a", opens=ZERO, closes=at(100))
        self.acme, self.project = self.tenant("acme")
        self.admin = Actor("user", "usr_admin", self.acme.id, None, "admin")
        self.member = Actor("user", "usr_member", self.acme.id, None, "member")

    def tenant(self, name: str, tier: int = 1, **more: Any) -> tuple[Organisation, Project]:
        organisation = tenants.create_organisation(self.session, name=name, tier=tier, actor=OPERATOR, now=ZERO)
        project = tenants.create_project(
            self.session, organisation=organisation.id, name=f"{name}-project", actor=OPERATOR, now=ZERO, **more
        )
        return organisation, project

    def quote(self, **changed: Any):
        terms: dict[str, Any] = {
            "project": self.project.id,
            "accelerator": "H100 SXM",
            "shape": SHAPE,
            "nodes": 1,
            "count": 8,
            "price_per_accelerator_hour": usd("2.00"),
            "hours": Decimal(2),
            "estimate": {"run_s": {"p10": 6000.0, "p50": 6600.0, "p90": 7200.0}, "step_s": 1.5},
            "terms": {"refund": "unused time"},
            "job": {"model": "mpt-30b"},
            "expires_at": at(1),
            "actor": self.member,
            "now": ZERO,
        }
        return orders.store_quote(self.session, **{**terms, **changed})

    def place(self, quote: Any = None, **changed: Any):
        """An order of a fresh quote, under a fresh key."""
        self.keys += 1
        now = changed.pop("now", ZERO)
        actor = changed.pop("actor", self.member)
        if quote is None:
            home = tenants.projects(self.session, actor=actor)[0].id
            quote = self.quote(project=home, actor=actor, now=now, expires_at=now + timedelta(hours=1))
        given = {"idempotency_key": f"key-{self.keys}", **changed}
        return orders.place_order(self.session, quote=quote.id, actor=actor, now=now, **self.doors, **given)

    def promote(self, hour: float):
        return orders.promote(self.session, now=at(hour), **self.doors)

    @property
    def doors(self) -> dict[str, Any]:
        return {"budget_check": self.check, "create_lease": self.open}

    def check(self, session, project, commitment, now, /, *, order=None):
        if self.budget is None:
            return
        waiting = [each.commitment for each in orders.open_orders(session, project, but=order)]
        use = sum([*waiting, *(lease["order"].commitment for lease in self.leases)], self.spent)
        if use + commitment > self.budget:
            raise Refused(
                f"the budget is {self.budget}, {use} are used and the order commits {commitment}",
                dimension="budget",
                limit=str(self.budget.amount),
                use=str(use.amount),
            )

    def open(self, session, *, order, quote, node_ids, starts_at, ends_at, actor, now):
        lease = FakeLease(ids.new("lea", now))
        bookings.book(session, holder=lease.id, node_ids=node_ids, start=starts_at, end=ends_at, now=now)
        self.leases.append({"id": lease.id, "order": order, "quote": quote, "node_ids": node_ids})
        return lease
