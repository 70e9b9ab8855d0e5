"""Accept a quote, approve, cancel, and serve those who wait.

What lies above this room comes in as callables: `budget_check` refuses what a project cannot pay, `cap_spans` says when
it may hold no more, `create_lease` makes the lease of an accepted order. Invariant: an order becomes accepted, its
nodes booked and its lease made, in one transaction; the budget is checked for the whole commitment, and the caps for
every instant of it, when it is placed and again when it is accepted later.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol

from sqlalchemy.orm import Session

from sublet.broker.audit.log import record
from sublet.broker.bookings import service as bookings
from sublet.broker.errors import Conflict, Forbidden, Invalid, Refused
from sublet.broker.orders import line, queue, store
from sublet.broker.orders.line import waitlist
from sublet.broker.orders.queue import Want
from sublet.broker.orders.quotes import acceptable, quote, quotes, refuse_expired, store_quote
from sublet.broker.orders.store import open_orders, order, orders
from sublet.broker.orders.values import MOVES, Blocked, Order, OrderState, StoredQuote, commitment, whole_seconds
from sublet.broker.tenants import service as tenants
from sublet.broker.tenants.rights import permit
from sublet.broker.tenants.values import SYSTEM, Actor
from sublet.storage import ids
from sublet.storage.clock import utc
from sublet.units import Money

__all__ = [
    "approve",
    "cancel",
    "open_orders",
    "order",
    "orders",
    "place_order",
    "promote",
    "quote",
    "quotes",
    "reject",
    "store_quote",
    "waitlist",
]

MOST_SECONDS = 10 * 366 * 86_400  # ten years: a guard against a slip of the finger


class BudgetCheck(Protocol):
    """Raises Refused where `project` cannot commit to `commitment` beside what it has spent and committed already.

    An order that waits for approval or in the line counts as committed; `order` is the one that is asked about, which
    must not count against itself.
    """

    def __call__(
        self, session: Session, project: str, commitment: Money, now: datetime, /, *, order: str | None = None
    ) -> None: ...


class CapSpans(Protocol):
    """When, from now on, a project may not hold `nodes` more nodes with `accelerators` in all, in order of start."""

    def __call__(
        self, session: Session, project: str, nodes: int, accelerators: int, now: datetime, /
    ) -> tuple[Blocked, ...]: ...


def no_caps(session: Session, project: str, nodes: int, accelerators: int, now: datetime, /) -> tuple[Blocked, ...]:
    """Where nobody is capped."""
    return ()


class Lease(Protocol):
    """All that an order knows of a lease."""

    @property
    def id(self) -> str: ...


class CreateLease(Protocol):
    """Opens the lease of an accepted order and books its nodes for it, all or none."""

    def __call__(
        self,
        session: Session,
        *,
        order: Order,
        quote: StoredQuote,
        node_ids: Sequence[str],
        starts_at: datetime,
        ends_at: datetime,
        actor: Actor,
        now: datetime,
    ) -> Lease: ...


class CancelLease(Protocol):
    """Ends the lease of a cancelled order and gives its nodes back; Conflict where it is too late for that."""

    def __call__(self, session: Session, lease_id: str, *, reason: str, actor: Actor, now: datetime) -> object: ...


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
    budget_check: BudgetCheck,
    create_lease: CreateLease,
    cap_spans: CapSpans = no_caps,
) -> Order:
    """Accept the quote with this id: now, at `start`, or at any time so that all of it lies before `window_end`.

    `hours` and `nodes` are the quote's where not given; time is sold in whole seconds, rounded up. The order comes back
    pending approval, accepted (with its lease) or waitlisted. The same key with the same request returns the order that
    it made first. Expired, Conflict (key used for another request), Invalid, and Refused by the budget or a cap,
    which names dimension, limit and use.
    """
    offered = acceptable(session, quote, actor=actor)
    asked = (quote, _text(start), _text(window_end), None if hours is None else str(hours.normalize()), nodes)
    print_ = hashlib.sha256(json.dumps(asked).encode()).hexdigest()
    earlier = store.by_key(session, offered.project, _key(idempotency_key))
    if earlier is not None:
        if earlier.fingerprint != print_:
            raise Conflict(f"idempotency key {idempotency_key!r} made order {earlier.id} from another request")
        return store.shown(earlier)
    refuse_expired(offered, now)
    count = offered.nodes if nodes is None else nodes
    seconds = whole_seconds(offered.hours if hours is None else hours) if hours is None or hours.is_finite() else 0
    placed = _draft(offered, count, seconds, start, window_end, actor, now)
    budget_check(session, placed.project, placed.commitment, now)
    store.add(session, placed, key=idempotency_key, fingerprint=print_)
    project = tenants.project(session, placed.project, actor=SYSTEM)
    want = _want(session, placed, cap_spans, now)
    if capped := want.capped(now):
        raise capped.refusal()
    if project.needs_approval and not _may_approve(actor, placed):
        result = placed
    else:
        result = _settle(session, placed, offered, want, actor, now, create_lease, cap_spans)
    _record(session, result, "order.place", actor, now)
    return result


def approve(
    session: Session,
    order_id: str,
    *,
    reason: str = "",
    actor: Actor,
    now: datetime,
    budget_check: BudgetCheck,
    create_lease: CreateLease,
    cap_spans: CapSpans = no_caps,
) -> Order:
    """Let a pending order go on: it comes back accepted, waitlisted, or refused where its time passed meanwhile.

    The quote's price holds, however long the approval took. Refused (and still pending) where the budget is gone, or
    a cap stands against it.
    """
    pending = _decidable(session, order_id, actor)
    budget_check(session, pending.project, pending.commitment, now, order=order_id)
    want = _want(session, pending, cap_spans, now)
    if not want.too_late(now) and (capped := want.capped(now)):
        raise capped.refusal()
    pending = store.change(session, pending, decided_at=utc(now), decided_by=actor.id)
    offered = acceptable(session, pending.quote_id, actor=SYSTEM)
    result = _settle(session, pending, offered, want, actor, now, create_lease, cap_spans)
    _record(session, result, "order.approve", actor, now, reason)
    return result


def reject(session: Session, order_id: str, *, reason: str, actor: Actor, now: datetime) -> Order:
    """Refuse a pending order."""
    pending = _decidable(session, order_id, actor)
    words = f"not approved: {reason}" if reason else "not approved"
    result = _move(session, pending, OrderState.REFUSED, words, decided_at=utc(now), decided_by=actor.id)
    _record(session, result, "order.reject", actor, now)
    return result


def cancel(
    session: Session,
    order_id: str,
    *,
    reason: str = "",
    actor: Actor,
    now: datetime,
    cancel_lease: CancelLease | None = None,
) -> Order:
    """Take an order back. One that was accepted takes its lease with it, by `cancel_lease` and under its rules.

    Conflict where the order is over already; cancelling what is cancelled changes nothing.
    """
    found = order(session, order_id, actor=actor)
    permit(actor, "order.cancel", organisation=found.organisation, project=found.project)
    if found.state is OrderState.CANCELLED:
        return found
    if found.state is OrderState.ACCEPTED:
        assert found.lease_id is not None
        assert found.ends_at is not None
        if found.ends_at <= now:
            raise Conflict(f"order {order_id} was served until {found.ends_at.isoformat()}: nothing is left to cancel")
        if cancel_lease is None:
            raise Conflict(f"order {order_id} became lease {found.lease_id}: end the lease")
        cancel_lease(session, found.lease_id, reason=reason or "its order was cancelled", actor=actor, now=now)
    result = _move(session, found, OrderState.CANCELLED, reason or "cancelled")
    line.leave(session, order_id, now)
    _record(session, result, "order.cancel", actor, now)
    return result


def promote(
    session: Session,
    *,
    now: datetime,
    budget_check: BudgetCheck,
    create_lease: CreateLease,
    cap_spans: CapSpans = no_caps,
    actor: Actor = SYSTEM,
) -> tuple[Order, ...]:
    """Serve those who wait and can be served now; returns the orders that left the line, accepted or (too late)
    refused.

    Called by the broker itself whenever something may have become free. Those who go on waiting get fresh reasons.
    """
    gone: list[Order] = []
    for shape in line.shapes(session):
        able = []
        for want in _capped(session, line.wants(session, shape), cap_spans, now):
            waiting = order(session, want.order_id, actor=SYSTEM)
            late = want.too_late(now)
            if late:
                gone.append(_give_up(session, waiting, late, actor, now))
            elif capped := want.capped(now):
                line.explain(session, waiting.id, [capped.sentence], now)
            elif _affordable(session, waiting, budget_check, now):
                able.append(want)
        for decision in queue.decide(shape, bookings.calendars(session, shape=shape, after=now), able, now):
            waiting = order(session, decision.order_id, actor=SYSTEM)
            if decision.start is None:
                line.explain(session, waiting.id, decision.reasons, now)
            elif over := _over(session, waiting, decision.start, cap_spans, now):  # an order before it took the rest
                line.explain(session, waiting.id, [over.sentence], now)
            elif _affordable(session, waiting, budget_check, now):  # again, for the same reason
                offered = acceptable(session, waiting.quote_id, actor=SYSTEM)
                result = _accept(session, waiting, offered, decision, actor, now, create_lease)
                line.leave(session, result.id, now)
                _record(session, result, "order.promote", actor, now)
                gone.append(result)
    return tuple(gone)


# --- inside ----------------------------------------------------------------------------------------------------------


def _draft(
    offered: StoredQuote,
    nodes: int,
    seconds: int,
    start: datetime | None,
    window_end: datetime | None,
    actor: Actor,
    now: datetime,
) -> Order:
    """The order as it is asked for, or Invalid."""
    if not 1 <= nodes <= 1_000_000:
        raise Invalid(f"an order for {nodes} nodes: give at least one")
    if not 1 <= seconds <= MOST_SECONDS:
        raise Invalid(f"an order for {seconds} s: give at least a second, and at most ten years")
    if start is not None and utc(start) < utc(now):
        raise Invalid(f"an order that starts at {utc(start).isoformat()}, in the past: leave the start out for now")
    placed = Order(
        id=ids.new("ord", now),
        organisation=offered.organisation,
        project=offered.project,
        quote_id=offered.id,
        state=OrderState.PENDING_APPROVAL,
        reason="waits for somebody to approve it",
        shape=offered.shape,
        nodes=nodes,
        accelerators=nodes * offered.accelerators_per_node,
        seconds=seconds,
        start=None if start is None else utc(start),
        window_end=None if window_end is None else utc(window_end),
        commitment=commitment(offered, nodes, seconds),
        starts_at=None,
        ends_at=None,
        lease_id=None,
        created_at=utc(now),
        created_by=actor.id,
        decided_at=None,
        decided_by=None,
    )
    late = line.want(placed, 0, now).too_late(now)
    if late:
        raise Invalid(f"{placed.hours:f} h do not fit into that window: {late}")
    return placed


def _want(session: Session, placed: Order, cap_spans: CapSpans, now: datetime) -> Want:
    """What an order asks of the calendar, and when caps let it have nothing."""
    want = line.want(placed, line.tier_of(session, placed.organisation), now)
    return next(iter(_capped(session, [want], cap_spans, now)))


def _capped(session: Session, wants: Iterable[Want], cap_spans: CapSpans, now: datetime) -> list[Want]:
    return [
        replace(want, blocked=cap_spans(session, want.project, want.nodes, want.accelerators, now)) for want in wants
    ]


def _over(session: Session, waiting: Order, start: datetime, cap_spans: CapSpans, now: datetime) -> Blocked | None:
    """The cap that an order would pass if it started then; None where it keeps them all."""
    spans = cap_spans(session, waiting.project, waiting.nodes, waiting.accelerators, now)
    return next((span for span in spans if span.start < start + waiting.duration and span.end > start), None)


def _settle(
    session: Session,
    placed: Order,
    offered: StoredQuote,
    want: Want,
    actor: Actor,
    now: datetime,
    create_lease: CreateLease,
    cap_spans: CapSpans,
) -> Order:
    """Accept an order, or let it wait; those who wait already come first where they stand before it."""
    late = want.too_late(now)
    if late:
        return _move(session, placed, OrderState.REFUSED, late)
    calendars = bookings.calendars(session, shape=placed.shape, after=now)
    waiting = _capped(session, line.wants(session, placed.shape), cap_spans, now)
    decisions = queue.decide(placed.shape, calendars, [*waiting, want], now)
    (decision,) = (each for each in decisions if each.order_id == placed.id)
    if decision.start is not None:
        return _accept(session, placed, offered, decision, actor, now, create_lease)
    line.enter(session, placed, want.tier, decision.reasons, now)
    return _move(session, placed, OrderState.WAITLISTED, decision.reasons[0])


def _accept(
    session: Session,
    placed: Order,
    offered: StoredQuote,
    decision: queue.Decision,
    actor: Actor,
    now: datetime,
    create_lease: CreateLease,
) -> Order:
    """Open the lease on the nodes that were found."""
    assert decision.start is not None
    start, end = decision.start, decision.start + placed.duration
    lease = create_lease(
        session,
        order=placed,
        quote=offered,
        node_ids=decision.node_ids,
        starts_at=start,
        ends_at=end,
        actor=actor,
        now=now,
    )
    return _move(
        session,
        placed,
        OrderState.ACCEPTED,
        f"{placed.nodes} node{'s' * (placed.nodes != 1)} from {start.isoformat()} to {end.isoformat()}",
        lease_id=lease.id,
        starts_at=start,
        ends_at=end,
    )


def _affordable(session: Session, waiting: Order, budget_check: BudgetCheck, now: datetime) -> bool:
    """Whether the project can pay for a waiting order; where it cannot, that is the reason why it waits."""
    try:
        budget_check(session, waiting.project, waiting.commitment, now, order=waiting.id)
    except Refused as refusal:
        line.explain(session, waiting.id, [str(refusal)], now)
        return False
    return True


def _give_up(session: Session, waiting: Order, why: str, actor: Actor, now: datetime) -> Order:
    result = _move(session, waiting, OrderState.REFUSED, why)
    line.leave(session, waiting.id, now)
    _record(session, result, "order.expire", actor, now)
    return result


def _decidable(session: Session, order_id: str, actor: Actor) -> Order:
    pending = order(session, order_id, actor=actor)
    permit(actor, "order.approve", organisation=pending.organisation, project=pending.project)
    if pending.state is not OrderState.PENDING_APPROVAL:
        raise Conflict(f"order {order_id} is {pending.state.value}: there is nothing to approve")
    return pending


def _may_approve(actor: Actor, placed: Order) -> bool:
    try:
        permit(actor, "order.approve", organisation=placed.organisation, project=placed.project)
    except Forbidden:
        return False
    return True


def _move(session: Session, before: Order, to: OrderState, reason: str, **values: Any) -> Order:
    if to not in MOVES[before.state]:
        raise Conflict(f"order {before.id} is {before.state.value}: it cannot become {to.value}")
    return store.change(session, before, state=to.value, reason=reason, **values)


def _record(session: Session, result: Order, action: str, actor: Actor, now: datetime, reason: str = "") -> None:
    record(
        session,
        actor=actor,
        action=action,
        target=result.id,
        outcome=result.state.value,
        reason=reason or result.reason,
        details={"commitment": str(result.commitment), "lease": result.lease_id},
        organisation=result.organisation,
        project=result.project,
        now=now,
    )


def _key(key: str) -> str:
    if not 1 <= len(key) <= 200:
        raise Invalid(f"an idempotency key has 1 to 200 letters, this one {len(key)}")
    return key


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else utc(moment).isoformat()
