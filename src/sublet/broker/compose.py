"""Where the broker is put together: database, providers, clock, signer in; the engine and whole services out.

Rooms that need each other in a circle meet here: an accepted order opens a lease, a lease that ends serves the
waitlist, both ask the budget for what all of them commit. Faces call these and need to know none of that.
Invariant: nothing is decided here.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy.orm import Session

from sublet.broker.billing import budgets, charges, receipts
from sublet.broker.billing.budgets import Commitment
from sublet.broker.leases import caps, gatekeeper, history, store
from sublet.broker.leases import service as leases
from sublet.broker.leases.engine import Chore, Engine, Hook
from sublet.broker.leases.policy import Policy
from sublet.broker.leases.values import Lease
from sublet.broker.orders import service as orders
from sublet.broker.orders.values import Order
from sublet.broker.runs import service as runs
from sublet.broker.supply import upkeep
from sublet.broker.tenants import service as tenants
from sublet.broker.tenants.values import SYSTEM, Actor
from sublet.providers.protocol import Provider
from sublet.qualification.certificate import Signer
from sublet.storage.clock import Clock, SystemClock
from sublet.storage.engine import Database
from sublet.units import Money

# --- money -----------------------------------------------------------------------------------------------------------


def commitments(session: Session, project: str, *, but: str | None = None) -> tuple[Commitment, ...]:
    """What the open orders and leases of a project may still cost at most; `but` one order."""
    return tuple(_commitments(session, project, but))


def _commitments(session: Session, project: str, but: str | None) -> Iterator[Commitment]:
    """Looked up when somebody counts them: a project without a budget never does, however many leases it has."""
    for order in orders.open_orders(session, project, but=but):
        yield Commitment(order.id, order.commitment)
    for lease in leases.running(session, project=project):
        yield Commitment(lease.id, charges.remaining(session, lease))


def budget_check(
    session: Session, project: str, commitment: Money, now: datetime, /, *, order: str | None = None
) -> None:
    """Refused where the project's budget does not hold `commitment` beside all that is spent and committed."""
    budgets.check(session, project, commitment, now, committed=_commitments(session, project, order))


def budget_status(session: Session, project: str, *, actor: Actor) -> budgets.Status:
    """How a project stands against its budget, all its commitments counted."""
    return budgets.status(session, project, committed=commitments(session, project), actor=actor)


def settle(session: Session, lease_id: str, now: datetime) -> None:
    """Charge what is metered, apply the terms, write the receipt, close the lease's account."""
    lease = store.lease_of(session, lease_id)
    booked = leases.booked_until(session, lease_id)
    measured = runs.measured(session, lease)
    receipts.issue(session, lease, outcome=lease.state.value, booked_until=booked, measured=measured, now=now)


def watch_budgets(session: Session, now: datetime) -> None:
    """Give the warnings that are due; end the leases of projects that chose to stop when their budget is used up.

    What was used and is not in the ledger yet (an hour's worth, `Policy.accrue_every`) counts as spent.
    """
    pending = tuple(_pending(session, now))
    for warning in budgets.warn(session, pending=pending, now=now):
        for lease in leases.running(session, project=warning.project):
            history.event(session, lease.id, "notice", warning.sentence, now)
    for stop in budgets.to_stop(session, pending=pending):
        leases.request_end(session, stop.lease, reason=stop.sentence, actor=SYSTEM, now=now)


def _pending(session: Session, now: datetime) -> Iterator[budgets.Pending]:
    """What leases of projects with a budget have used and are not charged for."""
    for project in tenants.projects(session, actor=SYSTEM):
        if project.budget is not None:
            for lease in leases.running(session, project=project.id):
                amount = charges.pending(session, lease, now=now)
                if amount.amount > 0:
                    yield budgets.Pending(lease.id, project.id, amount)


def return_supply(session: Session, now: datetime) -> None:
    """What we need not keep goes back to its provider: `supply.upkeep.return_ended`."""
    upkeep.return_ended(session, actor=SYSTEM, now=now)


def now_and_then(chore: Chore, every: timedelta = timedelta(minutes=1)) -> Chore:
    """The chore, at most once in `every`: what a minute's delay does not harm costs nothing in between."""
    last: list[datetime] = []

    def sometimes(session: Session, now: datetime) -> None:
        if not last or not timedelta() <= now - last[0] < every:
            chore(session, now)
            last[:] = [now]

    return sometimes


# --- orders and leases -----------------------------------------------------------------------------------------------


def place_order(
    session: Session,
    *,
    quote: str,
    start: datetime | None = None,
    window_end: datetime | None = None,
    hours: Decimal | None = None,
    nodes: int | None = None,
    idempotency_key: str,
    actor: Actor,
    now: datetime,
) -> Order:
    """`orders.place_order` with the budget of the project and the leases of this broker."""
    return orders.place_order(
        session,
        quote=quote,
        start=start,
        window_end=window_end,
        hours=hours,
        nodes=nodes,
        idempotency_key=idempotency_key,
        actor=actor,
        now=now,
        budget_check=budget_check,
        create_lease=leases.create,
        cap_spans=caps.spans,
    )


def approve_order(session: Session, order_id: str, *, reason: str = "", actor: Actor, now: datetime) -> Order:
    """`orders.approve` with the budget of the project and the leases of this broker."""
    return orders.approve(
        session,
        order_id,
        reason=reason,
        actor=actor,
        now=now,
        budget_check=budget_check,
        create_lease=leases.create,
        cap_spans=caps.spans,
    )


def cancel_order(session: Session, order_id: str, *, reason: str = "", actor: Actor, now: datetime) -> Order:
    """`orders.cancel`; an order that became a lease takes it with it, under the lease's terms."""
    return orders.cancel(session, order_id, reason=reason, actor=actor, now=now, cancel_lease=leases.request_end)


def promote(session: Session, now: datetime) -> tuple[Order, ...]:
    """Serve those who wait and can be served now."""
    return orders.promote(session, now=now, budget_check=budget_check, create_lease=leases.create, cap_spans=caps.spans)


def extend_lease(
    session: Session,
    lease_id: str,
    *,
    until: datetime,
    quote: str | None = None,
    idempotency_key: str | None = None,
    actor: Actor,
    now: datetime,
) -> Lease:
    """`leases.extend` at the price of a stored quote (by id), within the project's budget."""
    accepted = None if quote is None else orders.quote(session, quote, actor=actor)
    return leases.extend(
        session,
        lease_id,
        until=until,
        quote=accepted,
        budget_check=budget_check,
        idempotency_key=idempotency_key,
        actor=actor,
        now=now,
    )


def renew_lease(
    session: Session,
    lease_id: str,
    *,
    quote: str,
    idempotency_key: str | None = None,
    actor: Actor,
    now: datetime,
) -> Lease:
    """`leases.renew` at the price of a stored quote (by id), within the project's budget."""
    return leases.renew(
        session,
        lease_id,
        quote=orders.quote(session, quote, actor=actor),
        budget_check=budget_check,
        idempotency_key=idempotency_key,
        actor=actor,
        now=now,
    )


# --- the engine ------------------------------------------------------------------------------------------------------


def lease_engine(
    database: Database,
    providers: Mapping[str, Provider],
    clock: Clock,
    signer: Signer,
    *,
    hooks: Sequence[Hook] = (),
    chores: Sequence[Chore] | None = None,
    policy: Policy | None = None,
    **options: Any,
) -> Engine:
    """The engine that drives the leases of this database.

    Unless other `chores` are given it looks after the waitlist in each pass, after budgets and supply that goes back
    once a minute.
    """
    if chores is None:
        chores = (now_and_then(return_supply), promote, now_and_then(watch_budgets))
    return Engine(
        database,
        providers,
        clock,
        gate=gatekeeper.gate(signer),
        settle=settle,
        hooks=hooks,
        chores=chores,
        policy=policy,
        monotonic=time.monotonic if isinstance(clock, SystemClock) else None,
        **options,
    )
