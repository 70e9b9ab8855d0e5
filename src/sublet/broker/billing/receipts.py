"""Settle a lease and give its receipt: charge what is left, apply the terms, round once, write it down for good.

Invariants: a lease has one receipt; its total is what the ledger holds for the lease at that moment; after it nothing
more is charged, though credits may still be given.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from sublet.broker.audit.log import record
from sublet.broker.billing import accounts, charges, ledger, prices, rating, receipt, reports
from sublet.broker.billing import terms as rules
from sublet.broker.billing.receipt import LedgerReference, Measured, Receipt
from sublet.broker.billing.tables import ChargeRow, ReceiptRow, TransactionRow
from sublet.broker.billing.values import Billed
from sublet.broker.errors import Conflict, NotFound
from sublet.broker.metering import service as metering
from sublet.broker.metering.values import Usage
from sublet.broker.orders import quotes
from sublet.broker.supply.service import node_hour_cost
from sublet.broker.tenants.rights import permit
from sublet.broker.tenants.values import SYSTEM, Actor
from sublet.storage import ids
from sublet.units import Money

_TRANSACTION = TransactionRow.__table__.c


def issue(
    session: Session,
    lease: Billed,
    *,
    outcome: str = "settled",
    booked_until: datetime | None = None,
    measured: Measured | None = None,
    node_cost: charges.NodeCost = node_hour_cost,
    now: datetime,
) -> Receipt:
    """Settle a lease that ended and write its receipt; the same call again returns the receipt that was given.

    outcome: the lease's last state. booked_until: the latest end that the tenant had agreed to, where the lease was
    shortened since. measured: what the job did. Raises Conflict for a lease that still runs.
    """
    known = session.scalars(select(ReceiptRow).where(ReceiptRow.lease_id == lease.id)).one_or_none()
    if known is not None:
        return _receipt(known)
    if lease.active_at is not None and lease.ended_at is None:
        raise Conflict(f"{lease.id} has not ended: its receipt is written then")
    booked = max(lease.ends_at, booked_until or lease.ends_at)
    ended_by = _who(lease, booked)
    charges.accrue(session, lease, node_cost=node_cost, now=now)
    usage = metering.records(session, lease.id)
    _early_end(session, lease, ended_by, booked, now)
    _lost_time(session, lease, usage, now)

    currency = lease.price_per_accelerator_hour.currency
    rows = session.scalars(select(ChargeRow).where(ChargeRow.lease_id == lease.id).order_by(ChargeRow.id)).all()
    every = receipt.lines([reports.charge(row) for row in rows], currency)
    total = receipt.total(every, currency)
    rounding = total - charges.charged(session, lease)
    if rounding.amount:
        words = f"lines rounded to the minor unit of {currency}"
        charges.add(session, lease, rounding, kind="rounding", reference="receipt", sentence=words, now=now)
    charges.close(session, lease)

    promised = receipt.quoted(quotes.quote(session, lease.quote_id, actor=SYSTEM))
    came = receipt.actual(lease, usage, total, measured)
    not_charged, why = receipt.free(lease, usage), rules.ENDED_BY[ended_by]
    given = Receipt(
        id=ids.new("rcp", now),
        lease=lease.id,
        organisation=lease.organisation,
        project=lease.project,
        order=lease.order_id,
        issued_at=now,
        outcome=outcome,
        provider=lease.provider,
        shape=lease.shape,
        accelerator=lease.accelerator,
        nodes=lease.nodes,
        accelerators_per_node=lease.accelerators_per_node,
        quoted=promised,
        actual=came,
        efficiency=receipt.efficiency(promised, came),
        lines=every,
        total=total,
        not_charged=not_charged,
        differences=receipt.differences(
            lease, promised, came, not_charged, every, why, measured.note if measured else ""
        ),
        ledger=_reference(session, lease, currency),
    )
    _store(session, given, now)
    return given


def of_lease(session: Session, lease: str, *, actor: Actor) -> Receipt:
    """The receipt of a lease; NotFound where there is none (yet), or it is another tenant's."""
    row = session.scalars(select(ReceiptRow).where(ReceiptRow.lease_id == lease)).one_or_none()
    if row is None:
        raise NotFound("no such receipt: it is written when the lease is settled")
    permit(actor, "receipt.read", organisation=row.organisation_id, project=row.project_id)
    return _receipt(row)


def receipts(
    session: Session,
    *,
    organisation: str | None = None,
    project: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    after: str = "",
    limit: int = 100,
    actor: Actor,
) -> tuple[Receipt, ...]:
    """Receipts issued in [since, until) that the actor may see, oldest first, from the id `after` on."""
    permit(actor, "receipt.read", organisation=organisation, project=project)
    query = select(ReceiptRow).where(ReceiptRow.id > after).order_by(ReceiptRow.id).limit(limit)
    if not actor.everywhere:
        query = query.where(ReceiptRow.organisation_id == actor.organisation)
        if actor.project is not None:
            query = query.where(ReceiptRow.project_id == actor.project)
    for column, wanted in ((ReceiptRow.organisation_id, organisation), (ReceiptRow.project_id, project)):
        if wanted is not None:
            query = query.where(column == wanted)
    if since is not None:
        query = query.where(ReceiptRow.issued_at >= since)
    if until is not None:
        query = query.where(ReceiptRow.issued_at < until)
    return tuple(_receipt(row) for row in session.scalars(query))


def document(given: Receipt) -> dict[str, Any]:
    """The receipt as JSON types: decimals and times as text."""
    plain: dict[str, Any] = msgspec.to_builtins(given)
    return plain


# --- settling --------------------------------------------------------------------------------------------------------


def _who(lease: Billed, booked: datetime) -> str:
    """Who ended it, one of terms.ENDED_BY: by the lease's own word, and the tenant where it was shortened."""
    if lease.ended_at is None or lease.ended_at >= booked:
        return rules.TIME
    by = lease.ended_by or (rules.TENANT if lease.end_requested_at is not None else rules.TIME)
    return rules.TENANT if by == rules.TIME and lease.ends_at < booked else by


def _early_end(session: Session, lease: Billed, ended_by: str, booked: datetime, now: datetime) -> None:
    """The share of the unused time that the terms do not refund."""
    if ended_by != rules.TENANT or lease.active_at is None or lease.ended_at is None or lease.ended_at >= booked:
        return
    kept = 1 - rules.parse(lease.terms).early_end_refund
    units = lease.nodes * lease.accelerators_per_node
    pieces = rating.pieces(max(lease.ended_at, lease.active_at), booked, units, prices.schedule(session, lease))
    unused = _share(Money(rating.amount(rating.weight(pieces)), lease.price_per_accelerator_hour.currency), kept)
    if unused.amount:
        words = f"{kept * 100:f} % of the time booked until {booked.isoformat()} and not used, by the quote's terms"
        charges.add(session, lease, unused, kind="early-end", reference="settlement", sentence=words, now=now)


def _lost_time(session: Session, lease: Billed, usage: tuple[Usage, ...], now: datetime) -> None:
    """Credit for time that dead nodes lost, by the terms, on top of its not being charged."""
    share = rules.parse(lease.terms).lost_time_credit
    lost = [record for record in usage if record.kind == "lost"]
    if not share or not lost:
        return
    schedule = prices.schedule(session, lease)
    pieces = [
        piece for record in lost for piece in rating.pieces(record.start, record.end, record.accelerators, schedule)
    ]
    worth = Money(rating.amount(rating.weight(pieces)), lease.price_per_accelerator_hour.currency)
    due = _share(worth, share)
    held = charges.charged(session, lease)
    due = min(due, held, key=lambda money: money.amount)  # never more than was charged
    if due.amount > 0:
        words = f"{share * 100:f} % of the price of the time that dead nodes lost, by the quote's terms"
        charges.give_back(session, lease, due, kind="lost-time", reference="settlement", sentence=words, now=now)


def _share(whole: Money, share: Decimal) -> Money:
    part = whole * share
    return Money(part.amount.quantize(Decimal(1).scaleb(-ledger.PLACES)), part.currency)


def _reference(session: Session, lease: Billed, currency: str) -> LedgerReference:
    account = accounts.receivable(lease.organisation)
    where = _TRANSACTION.lease_id == lease.id
    count, first, last = session.execute(
        select(func.count(), func.min(_TRANSACTION.id), func.max(_TRANSACTION.id)).where(where)
    ).one()
    balance = ledger.balance(session, account, lease=lease.id).get(currency, Decimal(0))
    return LedgerReference(account, Money(balance, currency), count, first, last)


def _store(session: Session, given: Receipt, now: datetime) -> None:
    session.add(
        ReceiptRow(
            id=given.id,
            lease_id=given.lease,
            organisation_id=given.organisation,
            project_id=given.project,
            issued_at=now,
            total=given.total.amount,
            currency=given.total.currency,
            document=document(given),
        )
    )
    session.flush()
    record(
        session,
        actor=SYSTEM,
        action="receipt.issue",
        target=given.lease,
        outcome=given.outcome,
        reason=f"{given.total}",
        details={"receipt": given.id, "lines": len(given.lines)},
        organisation=given.organisation,
        project=given.project,
        now=now,
    )


def _receipt(row: ReceiptRow) -> Receipt:
    return msgspec.convert(row.document, Receipt)
