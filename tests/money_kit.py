"""A tenant with a project and a quote, and leases to meter and charge: what the tests of money start from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

from sqlalchemy.orm import Session

from sublet.broker.leases.states import State
from sublet.broker.leases.values import Lease, Member, SlotState
from sublet.broker.metering import service as metering
from sublet.broker.orders import quotes
from sublet.broker.tenants import service as tenants
from sublet.broker.tenants.values import SYSTEM, Actor
from sublet.units import Money

ZERO = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
OPERATOR = Actor("user", "usr_operator", None, None, "operator")
HOUSE_AUDITOR = Actor("user", "usr_auditor", None, None, "auditor")

_numbers = count(1)


def usd(amount: str | int) -> Money:
    return Money(Decimal(amount), "USD")


def at(hours: float) -> datetime:
    return ZERO + hours * HOUR


def node_cost(_session: Session, _node_id: str) -> Money:
    """What an hour of any node costs us."""
    return usd("16")


@dataclass(frozen=True)
class Tenant:
    organisation: str
    project: str
    member: Actor
    admin: Actor


def tenant(session: Session, budget: Money | None = None, hard_stop: bool = True, now: datetime = ZERO) -> Tenant:
    name = f"tenant {next(_numbers)}"
    organisation = tenants.create_organisation(session, name=name, actor=SYSTEM, now=now).id
    project = tenants.create_project(
        session, organisation=organisation, name="p", budget=budget, hard_stop=hard_stop, actor=SYSTEM, now=now
    ).id
    member = Actor("user", "usr_member", organisation, None, "member")
    return Tenant(organisation, project, member, replace(member, id="usr_admin", role="admin"))


def quote(
    session: Session, owner: Tenant, *, price: str = "3", hours: str = "4", nodes: int = 2, **changes: Any
) -> str:
    fields: dict[str, Any] = {
        "project": owner.project,
        "accelerator": "H100 SXM",
        "shape": "8xh100",
        "nodes": nodes,
        "count": nodes * 8,
        "price_per_accelerator_hour": usd(price),
        "hours": Decimal(hours),
        "estimate": {},
        "terms": {},
        "job": {},
        "expires_at": ZERO + timedelta(days=7),
        "actor": SYSTEM,
        "now": ZERO,
    }
    return quotes.store_quote(session, **(fields | changes)).id


def lease(
    owner: Tenant,
    quote_id: str = "quo_none",
    *,
    price: str = "3",
    nodes: int = 2,
    hours: float = 4,
    terms: Mapping[str, object] | None = None,
    **changes: Any,
) -> Lease:
    """A lease from ZERO on, active at once, with nodes n1, n2, ... of 8 accelerators each."""
    number = next(_numbers)
    names = [f"n{number}-{index + 1}" for index in range(nodes)]
    made = Lease(
        id=f"lea_{number:06}",
        organisation=owner.organisation,
        project=owner.project,
        order_id=f"ord_{number:06}",
        quote_id=quote_id,
        provider="simulated",
        shape="8xh100",
        accelerator="H100 SXM",
        accelerators_per_node=8,
        nodes=nodes,
        state=State.ACTIVE,
        reason="",
        starts_at=ZERO,
        ends_at=at(hours),
        created_at=ZERO,
        active_at=ZERO,
        price_per_accelerator_hour=usd(price),
        terms=terms or {},
        members=tuple(
            Member(slot=slot, node_id=name, state=SlotState.SERVING, serving_since=ZERO)
            for slot, name in enumerate(names)
        ),
    )
    return replace(made, **changes)


def serve(session: Session, held: Lease, start: float, end: float, *, nodes: tuple[int, ...] = (), **what: Any) -> None:
    """Meter [start, end) hours of the lease's nodes (all, or by index)."""
    facts: dict[str, Any] = {"billable": True, "source": "engine", "now": at(end)} | what
    for index, node_id in enumerate(held.node_ids):
        if not nodes or index in nodes:
            metering.meter(session, held, node_id, at(start), at(end), **facts)
