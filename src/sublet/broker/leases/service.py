"""What people ask of a lease: to be opened, read, extended, shortened, ended, renewed. It is written down; the engine
does it.

Invariants: every change of the term is in the calendar before it is in the lease; the whole commitment that a change
adds is checked against the budget; the same idempotency key gives the same answer and changes nothing twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from sublet.broker.audit import log as audit
from sublet.broker.billing import prices
from sublet.broker.bookings import service as bookings
from sublet.broker.errors import Conflict, Expired, Forbidden, Invalid
from sublet.broker.leases import books, caps, effects, history, store
from sublet.broker.leases.actions import Move
from sublet.broker.leases.policy import Policy
from sublet.broker.leases.states import BEFORE_SERVICE, FINAL, State
from sublet.broker.leases.tables import ChangeRow, LeaseRow, SlotRow
from sublet.broker.leases.values import Lease, LeaseEvent, LeaseFacts, SlotState
from sublet.broker.tenants.rights import permit
from sublet.broker.tenants.values import SYSTEM, Actor
from sublet.storage import ids
from sublet.storage.clock import utc
from sublet.units import Money

HOUR_US = 3_600_000_000


class Ordered(Protocol):
    """What has to be known of an accepted order."""

    @property
    def id(self) -> str: ...
    @property
    def organisation(self) -> str: ...
    @property
    def project(self) -> str: ...


class Quoted(Protocol):
    """What has to be known of the quote that an order, an extension or a renewal accepts."""

    @property
    def id(self) -> str: ...
    @property
    def accelerator(self) -> str: ...
    @property
    def shape(self) -> str: ...
    @property
    def price_per_accelerator_hour(self) -> Money: ...
    @property
    def terms(self) -> Mapping[str, Any]: ...
    @property
    def expires_at(self) -> datetime: ...


BudgetCheck = Callable[[Session, str, Money, datetime], None]
"""(session, project, commitment, now): raises Refused where the budget does not hold it."""


# --- open and read ---------------------------------------------------------------------------------------------------


def create(
    session: Session,
    *,
    order: Ordered,
    quote: Quoted,
    node_ids: Sequence[str],
    starts_at: datetime,
    ends_at: datetime,
    actor: Actor = SYSTEM,
    now: datetime,
) -> Lease:
    """Open the lease of an accepted order over [starts_at, ends_at) and book its nodes, all or none.

    Conflict where a node is not free, or where the nodes are not of one provider and shape. The engine does the rest.
    """
    starts_at, ends_at = utc(starts_at), utc(ends_at)
    sold = [books.node_of(session, node_id) for node_id in node_ids]
    kinds = {(node.provider, node.shape) for node in sold}
    if len(kinds) != 1:
        raise Conflict(f"a lease is of one provider and shape: {', '.join(' '.join(kind) for kind in sorted(kinds))}")
    ((provider, shape),) = kinds
    lease_id = ids.new("lea", now)
    bookings.book(session, holder=lease_id, node_ids=node_ids, start=starts_at, end=ends_at, now=now)
    price = quote.price_per_accelerator_hour
    row: dict[str, Any] = dict.fromkeys(column.name for column in LeaseRow.__table__.columns)
    row |= {
        "id": lease_id,
        "organisation_id": order.organisation,
        "project_id": order.project,
        "order_id": order.id,
        "quote_id": quote.id,
        "provider": provider,
        "shape": shape,
        "accelerator": sold[0].accelerator,
        "accelerators_per_node": sold[0].accelerators_per_node,
        "nodes": len(node_ids),
        "tag": lease_id,
        "price": price.amount,
        "currency": price.currency,
        "terms": dict(quote.terms),
        "created_at": now,
        "starts_at": starts_at,
        "ends_at": ends_at,
        "state": State.SCHEDULED.value,
        "reason": "ordered",
        "changed_at": now,
        "version": 1,
        "next_at": max(starts_at, now),
    }
    session.execute(insert(LeaseRow).values(row))
    session.execute(
        insert(SlotRow),
        [
            {
                "lease_id": lease_id,
                "number": number,
                "generation": 0,
                "current": True,
                "node_id": node_id,
                "state": SlotState.WANTED.value,
                "key": f"{lease_id}/gang",
                "ref": "",
                "address": "",
                "reason": "",
                "checks": 0,
            }
            for number, node_id in enumerate(node_ids)
        ],
    )
    history.event(session, lease_id, "state", "ordered", now, details={"nodes": list(node_ids)})
    _audit(session, actor, lease_id, "lease.create", f"{len(node_ids)} x {shape}", now)
    return store.lease_of(session, lease_id)


def get(session: Session, lease_id: str, *, actor: Actor) -> Lease:
    """One lease; NotFound where there is none that the actor may see."""
    lease = store.lease_of(session, lease_id)
    permit(actor, "lease.read", organisation=lease.organisation, project=lease.project)
    return lease


def leases(
    session: Session,
    *,
    actor: Actor,
    project: str | None = None,
    state: State | str | None = None,
    after: str = "",
    limit: int = 100,
) -> tuple[Lease, ...]:
    """Leases that the actor may see, oldest first, from the id `after` on."""
    permit(actor, "lease.read", organisation=actor.organisation, project=project)
    query = select(LeaseRow.__table__).where(LeaseRow.id > after).order_by(LeaseRow.id).limit(limit)
    if not actor.everywhere and actor.role != "system":
        query = query.where(LeaseRow.organisation_id == actor.organisation)
        if actor.project is not None:
            query = query.where(LeaseRow.project_id == actor.project)
    if project is not None:
        query = query.where(LeaseRow.project_id == project)
    if state is not None:
        query = query.where(LeaseRow.state == State(state).value)
    return store.leases_of(session, session.execute(query).all())


def running(session: Session, *, project: str | None = None) -> tuple[Lease, ...]:
    """Leases that are not over. For rooms, not for tenants."""
    query = select(LeaseRow.__table__).where(LeaseRow.state.not_in([state.value for state in FINAL]))
    if project is not None:
        query = query.where(LeaseRow.project_id == project)
    return store.leases_of(session, session.execute(query.order_by(LeaseRow.id)).all())


def events(
    session: Session, lease_id: str, *, actor: Actor, after: int = 0, limit: int = 100
) -> tuple[LeaseEvent, ...]:
    """The lease's history, from event number `after` on."""
    get(session, lease_id, actor=actor)
    return history.events(session, lease_id=lease_id, after=after, limit=limit)


# --- change ----------------------------------------------------------------------------------------------------------


def request_end(
    session: Session, lease_id: str, *, reason: str = "asked for by the tenant", actor: Actor, now: datetime
) -> Lease:
    """End the lease now (or call it off before its start). What the unused time costs is in its terms.

    Asked again, or asked of a lease that is over, it changes nothing.
    """
    lease, facts = _for_change(session, lease_id, "lease.end", actor)
    if lease.state in FINAL or lease.state is State.TERMINATED or lease.end_requested_at is not None:
        return lease
    by = "operator" if actor.role in ("operator", "system") else "tenant"
    store.changed(session, facts, end_requested_at=now, ended_by=by, next_at=now)
    _record(session, lease, "end", None, min(lease.ends_at, max(now, lease.starts_at)), None, None, actor, now)
    history.event(session, lease_id, "change", f"its end was asked for: {reason}", now)
    return store.lease_of(session, lease_id)


def extend(
    session: Session,
    lease_id: str,
    *,
    until: datetime,
    quote: Quoted | None = None,
    budget_check: BudgetCheck | None = None,
    idempotency_key: str | None = None,
    actor: Actor,
    now: datetime,
) -> Lease:
    """Keep the nodes until `until`, at the price of `quote` from the present end on (without one, as before).

    Conflict where the calendar does not allow it or the lease is on its way out; Refused by the budget or a cap;
    Expired or Invalid for a quote that is over or of something else.
    """
    until = utc(until)
    lease, facts = _for_change(session, lease_id, "lease.extend", actor)
    if _done_before(session, lease_id, idempotency_key, "extend", until):
        return lease
    _refuse_late(lease, now)
    if until <= lease.ends_at:
        raise Invalid(f"the lease ends at {lease.ends_at.isoformat()}: an extension must end later than that")
    price = _price(session, lease, quote, now)
    if budget_check is not None:
        budget_check(session, lease.project, price * _accelerator_hours(lease, lease.ends_at, until), now)
    caps.check(
        session,
        lease.project,
        lease.nodes,
        lease.nodes * lease.accelerators_per_node,
        lease.ends_at,
        until,
        now=now,
    )
    if not bookings.extend(session, holder=lease_id, until=until, now=now):
        raise Conflict(f"the nodes of {lease_id} are promised to another, or go back, before {until.isoformat()}")
    store.changed(session, facts, ends_at=until, next_at=now)
    prices.agree(
        session,
        lease,
        price_per_accelerator_hour=price,
        starts_at=lease.ends_at,
        quote=quote.id if quote else None,
        now=now,
    )
    _record(session, lease, "extend", idempotency_key, until, quote, price, actor, now)
    history.event(
        session,
        lease_id,
        "change",
        f"extended until {until:%Y-%m-%d %H:%M:%S} UTC at {price} per accelerator-hour",
        now,
    )
    return store.lease_of(session, lease_id)


def shorten(
    session: Session, lease_id: str, *, until: datetime, idempotency_key: str | None = None, actor: Actor, now: datetime
) -> Lease:
    """End at `until` instead of later; the freed time is in the calendar at once. Invalid where it is no shortening."""
    until = utc(until)
    lease, facts = _for_change(session, lease_id, "lease.extend", actor)
    if _done_before(session, lease_id, idempotency_key, "shorten", until):
        return lease
    _refuse_late(lease, now)
    if not max(now, lease.starts_at) < until < lease.ends_at:
        raise Invalid(
            f"the lease runs until {lease.ends_at.isoformat()}: shorten it to a time between now and then, or end it"
        )
    bookings.shorten(session, holder=lease_id, until=until, now=now)
    store.changed(session, facts, ends_at=until, next_at=now)
    _record(session, lease, "shorten", idempotency_key, until, None, None, actor, now)
    history.event(session, lease_id, "change", f"shortened: it ends at {until:%Y-%m-%d %H:%M:%S} UTC", now)
    return store.lease_of(session, lease_id)


def renew(
    session: Session,
    lease_id: str,
    *,
    quote: Quoted,
    budget_check: BudgetCheck | None = None,
    idempotency_key: str | None = None,
    actor: Actor,
    now: datetime,
) -> Lease:
    """The same nodes once more, for as long as was first agreed, from the present end on at a new quote's price."""
    lease, _ = _for_change(session, lease_id, "lease.extend", actor)
    first = session.execute(
        select(ChangeRow.ends_before).where(ChangeRow.lease_id == lease_id).order_by(ChangeRow.id).limit(1)
    ).scalar()
    until = lease.ends_at + ((first or lease.ends_at) - lease.starts_at)
    if (known := _known(session, lease_id, idempotency_key)) is not None:
        until = known.ends_after
    return extend(
        session,
        lease_id,
        until=until,
        quote=quote,
        budget_check=budget_check,
        idempotency_key=idempotency_key,
        actor=actor,
        now=now,
    )


def declare_gone(session: Session, lease_id: str, *, reason: str, actor: Actor, now: datetime) -> Lease:
    """The operator's word that nothing of this lease is left at its provider, where the provider cannot say so itself.

    Only for a lease in `ending`. Forbidden to anybody but the operator.
    """
    if actor.role != "operator":
        raise Forbidden("only the operator can say that a provider's nodes are gone")
    lease, facts = _for_change(session, lease_id, "lease.end", actor)
    if lease.state is not State.ENDING or now < min(lease.ends_at, lease.end_requested_at or lease.ends_at):
        raise Conflict(f"lease {lease_id} is {lease.state}: only nodes that should be gone can be declared gone")
    gone = Move(State.TERMINATED, f"declared gone by the operator: {reason}")
    effects.store_action(session, facts, gone, now, Policy(), lambda session, lease_id, now: None)
    _audit(session, actor, lease_id, "lease.declare-gone", reason, now)
    return store.lease_of(session, lease_id)


def booked_until(session: Session, lease_id: str) -> datetime:
    """The latest end that the tenant ever agreed to."""
    query = select(ChangeRow.ends_before, ChangeRow.ends_after).where(ChangeRow.lease_id == lease_id)
    ends: list[datetime] = [end for row in session.execute(query) for end in row]
    return max([*ends, store.lease_of(session, lease_id).ends_at])


# --- inside ----------------------------------------------------------------------------------------------------------


def _for_change(session: Session, lease_id: str, action: str, actor: Actor) -> tuple[Lease, LeaseFacts]:
    lease = store.lease_of(session, lease_id)
    permit(actor, action, organisation=lease.organisation, project=lease.project)
    return lease, store.facts_of(session, [lease_id])[lease_id]


def _refuse_late(lease: Lease, now: datetime) -> None:
    if lease.state in FINAL or lease.state is State.TERMINATED or lease.end_requested_at is not None:
        raise Conflict(f"lease {lease.id} is {lease.state}: its term cannot be changed any more")
    if now >= lease.ends_at:
        raise Conflict(f"lease {lease.id} ended at {lease.ends_at.isoformat()}: order a new one")
    if lease.state is State.ENDING and lease.active_at is None:
        raise Conflict(f"lease {lease.id} is being rolled back: its term cannot be changed any more")


def _price(session: Session, lease: Lease, quote: Quoted | None, now: datetime) -> Money:
    if quote is None:
        return prices.before(session, lease, lease.ends_at)
    if quote.expires_at <= now:
        raise Expired(f"quote {quote.id} expired at {quote.expires_at.isoformat()}: ask for a new one")
    if (quote.accelerator, quote.shape) != (lease.accelerator, lease.shape):
        raise Invalid(f"quote {quote.id} is for {quote.shape}: this lease is of {lease.shape}")
    return quote.price_per_accelerator_hour


def _accelerator_hours(lease: Lease, start: datetime, end: datetime) -> Decimal:
    microseconds = int((end - start).total_seconds() * 1_000_000)
    return Decimal(microseconds * max(1, lease.accelerators_per_node) * lease.nodes) / HOUR_US


def _known(session: Session, lease_id: str, key: str | None) -> Any:
    if key is None:
        return None
    return session.execute(
        select(ChangeRow.__table__).where(ChangeRow.lease_id == lease_id, ChangeRow.idempotency_key == key)
    ).first()


def _done_before(session: Session, lease_id: str, key: str | None, kind: str, until: datetime) -> bool:
    known = _known(session, lease_id, key)
    if known is None:
        return False
    if (known.kind, known.ends_after) != (kind, until):
        raise Conflict(f"the idempotency key {key!r} was used to {known.kind} {lease_id} until {known.ends_after}")
    return True


def _record(
    session: Session,
    lease: Lease,
    kind: str,
    key: str | None,
    until: datetime,
    quote: Quoted | None,
    price: Money | None,
    actor: Actor,
    now: datetime,
) -> None:
    session.execute(
        insert(ChangeRow).values(
            id=ids.new("chg", now),
            lease_id=lease.id,
            kind=kind,
            idempotency_key=key,
            at=now,
            actor=actor.id,
            ends_before=lease.ends_at,
            ends_after=until,
            quote_id=quote.id if quote else None,
            price=price.amount if price else None,
            currency=price.currency if price else None,
        )
    )
    words = f"{kind}: {lease.ends_at.isoformat()} -> {until.isoformat()}"
    _audit(session, actor, lease.id, f"lease.{kind}", words, now)


def _audit(session: Session, actor: Actor, lease_id: str, action: str, words: str, now: datetime) -> None:
    organisation, project = books.organisation_of(session, lease_id)
    audit.record(
        session,
        actor=actor,
        action=action,
        target=lease_id,
        outcome="done",
        reason=words,
        organisation=organisation,
        project=project,
        now=now,
    )


def before_service(lease: Lease) -> bool:
    """Whether nothing of the lease is billed yet."""
    return lease.state in BEFORE_SERVICE
