"""Charges: usage turned into what the tenant owes and what we owe the provider, in the ledger, once.

`accrue` charges the usage records of a lease that are not charged yet: the tenant by the accepted quote's price per
accelerator-hour, ourselves by the contract's price per node-hour (also for time that no tenant pays). How far a lease
is charged is a number in `accruals`: charges of usage cover its records 1..n, each once per side.
Invariants: charges of a lease and side sum to its running total, and to its entries in the ledger; money is exact.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, cast

from sqlalchemy import Table, insert, select
from sqlalchemy.orm import Session

from sublet.broker.billing import accounts, ledger, prices, rating
from sublet.broker.billing.ledger import Line, Transaction
from sublet.broker.billing.rating import Piece, Rate
from sublet.broker.billing.tables import AccrualRow, ChargeRow
from sublet.broker.billing.values import Billed
from sublet.broker.errors import Conflict, Invalid, Refused
from sublet.broker.metering import service as metering
from sublet.broker.metering.values import Usage
from sublet.broker.supply.service import node_hour_cost
from sublet.broker.tenants.rights import permit
from sublet.broker.tenants.values import SYSTEM, Actor
from sublet.storage import ids
from sublet.units import Money

NodeCost = Callable[[Session, str], Money]

PRICE, COST = "price", "cost"
_NO_UNITS = Decimal(0)
_CHARGES = cast(Table, ChargeRow.__table__)


def accrue(
    session: Session,
    lease: Billed,
    until: datetime | None = None,
    *,
    node_cost: NodeCost = node_hour_cost,
    now: datetime,
) -> Transaction | None:
    """Charge the usage that is recorded and not charged yet (and over by `until`), in one transaction.

    Returns None where there is nothing to charge, or it costs nothing. Raises Conflict for usage that was recorded
    after the receipt was written.
    """
    totals = _totals(session, lease)
    price = totals.of(PRICE, lease.price_per_accelerator_hour.currency)
    new = metering.records(session, lease.id, after=price.last)
    if until is not None:
        late = next((at for at, record in enumerate(new) if record.end > until), len(new))
        new = new[:late]
    if not new:
        return None
    if price.closed:
        raise Conflict(f"{lease.id} has its receipt: usage record {new[0].number} came after it")
    first, last = new[0].number, new[-1].number
    lines: list[Line] = []
    drafts: list[_Draft] = []

    sold = rating.grouped(_sold(new, prices.schedule(session, lease)))
    amounts, weight = rating.charge(price.weight, sold)
    for piece, amount in zip(sold, amounts, strict=True):
        drafts.append(_Draft(PRICE, "usage", piece, Money(amount, price.currency), lease.organisation, first, last))
    total = Money(sum(amounts, Decimal(0)), price.currency)
    lines += [(accounts.receivable(lease.organisation), total), (accounts.REVENUE, -total)]
    price.add(weight=weight, usage=total.amount, last=last)

    for provider, currency, bought in _bought(session, new, node_cost):
        cost = totals.of(COST, currency)
        amounts, weight = rating.charge(cost.weight, bought)
        for piece, amount in zip(bought, amounts, strict=True):
            drafts.append(_Draft(COST, "usage", piece, Money(amount, currency), provider, first, last))
        owed = Money(sum(amounts, Decimal(0)), currency)
        lines += [(accounts.COST, owed), (accounts.payable(provider), -owed)]
        cost.add(weight=weight, usage=owed.amount, last=last)

    posted = _post(
        session, lease, lines, "accrual", f"{lease.id}/{last}", f"usage {first} to {last} of {lease.id}", now
    )
    _write(session, lease, drafts, posted, now)
    totals.save(session)
    return posted


def _sold(records: Sequence[Usage], schedule: Sequence[Rate]) -> list[Piece]:
    return [
        piece
        for record in records
        if record.billable
        for piece in rating.pieces(record.start, record.end, record.accelerators, schedule)
    ]


def _bought(
    session: Session, records: Sequence[Usage], node_cost: NodeCost
) -> list[tuple[str, str, tuple[Piece, ...]]]:
    """Node time at the contracts' prices: (provider, currency, pieces)."""
    costs = {node: node_cost(session, node) for node in sorted({record.node_id for record in records})}
    pieces: dict[tuple[str, str], list[Piece]] = defaultdict(list)
    for record in records:
        rate = Rate(record.start, costs[record.node_id])
        key = record.provider, rate.price.currency
        pieces[key] += rating.pieces(record.start, record.end, 1, (rate,))
    return [(provider, currency, rating.grouped(every)) for (provider, currency), every in sorted(pieces.items())]


def running_cost(session: Session, lease: Billed, *, now: datetime) -> Money:
    """What the lease costs its tenant up to `now`, to 12 places: charged, or metered only, or served only.

    Time of a node that serves and is not metered yet counts as used up to `now`; metering may still find it lost.
    """
    return charged(session, lease) + pending(session, lease, now=now)


def pending(session: Session, lease: Billed, *, now: datetime) -> Money:
    """The part of the running cost that is not charged yet."""
    price = _totals(session, lease).of(PRICE, lease.price_per_accelerator_hour.currency)
    schedule = prices.schedule(session, lease)
    records = metering.records(session, lease.id, after=price.last)
    pieces = _sold(records, schedule)
    for member in lease.members:
        if member.serving_since is not None and member.served_until is None:
            metered = metering.last_end(session, lease.id, member.node_id)
            since = max(member.serving_since, metered or member.serving_since)
            pieces += rating.pieces(since, min(now, lease.ends_at), lease.accelerators_per_node, schedule)
    weight = rating.plus(price.weight, rating.weight(pieces))
    return Money(rating.amount(weight) - price.usage, price.currency)


def remaining(session: Session, lease: Billed) -> Money:
    """What the lease may still cost at most: all of its booked time at its prices, less the usage charged so far."""
    price = _totals(session, lease).of(PRICE, lease.price_per_accelerator_hour.currency)
    units = lease.nodes * lease.accelerators_per_node
    start = min(lease.active_at or lease.starts_at, lease.ends_at)
    whole = rating.cost(rating.pieces(start, lease.ends_at, units, prices.schedule(session, lease)), price.currency)
    return Money(max(Decimal(0), whole.amount - price.usage), price.currency)


def credit(
    session: Session, lease: Billed, amount: Money, *, reason: str, reference: str, actor: Actor, now: datetime
) -> Transaction:
    """Give money back to a lease's tenant; the same `reference` again gives nothing more.

    Raises Forbidden for all but the operator, Invalid for an amount that is not above zero, in another currency or
    without a reason, Refused for more than the lease was charged.
    """
    permit(actor, "credit.create")
    price = _totals(session, lease).of(PRICE, lease.price_per_accelerator_hour.currency)
    if amount.amount <= 0 or amount.currency != price.currency or not reason.strip():
        raise Invalid(f"a credit of {amount} for {reason!r}: an amount above zero in {price.currency}, with a reason")
    if ledger.posted(session, "credit", f"{lease.id}/{reference}") is None and amount.amount > price.charged:
        raise Refused(
            f"a credit of {amount} is more than the {Money(price.charged, price.currency)} that {lease.id} was charged",
            dimension="credit",
            limit=str(Money(price.charged, price.currency)),
            use=str(amount),
        )
    return give_back(session, lease, amount, kind="credit", reference=reference, sentence=reason, actor=actor, now=now)


def give_back(
    session: Session,
    lease: Billed,
    amount: Money,
    *,
    kind: str,
    reference: str,
    sentence: str,
    actor: Actor = SYSTEM,
    now: datetime,
) -> Transaction:
    """Credit the tenant: `kind` and `reference` are posted once."""
    lines = [(accounts.CREDITS, amount), (accounts.receivable(lease.organisation), -amount)]
    return _extra(session, lease, -amount, lines, kind, reference, sentence, actor, now)


def add(
    session: Session, lease: Billed, amount: Money, *, kind: str, reference: str, sentence: str, now: datetime
) -> Transaction:
    """Charge the tenant (or, below zero, discharge it) for something other than usage: posted once."""
    lines = [(accounts.receivable(lease.organisation), amount), (accounts.REVENUE, -amount)]
    return _extra(session, lease, amount, lines, kind, reference, sentence, SYSTEM, now)


def _extra(
    session: Session,
    lease: Billed,
    owed: Money,
    lines: Sequence[Line],
    kind: str,
    reference: str,
    sentence: str,
    actor: Actor,
    now: datetime,
) -> Transaction:
    full = f"{lease.id}/{reference}"
    before = ledger.posted(session, kind, full)
    posted = _post(session, lease, lines, kind, full, sentence, now, actor)
    assert posted is not None, "an amount that is not zero"
    if before is None:
        totals = _totals(session, lease)
        totals.of(PRICE, owed.currency).add(other=owed.amount)
        draft = _Draft(PRICE, kind, Piece(now.date(), Money(_NO_UNITS, owed.currency), 0), owed, lease.organisation)
        _write(session, lease, [draft], posted, now, sentence)
        totals.save(session)
    return posted


def close(session: Session, lease: Billed) -> None:
    """Nothing more is charged to this lease; credits may still be given."""
    totals = _totals(session, lease)
    totals.of(PRICE, lease.price_per_accelerator_hour.currency).closed = True
    totals.save(session)


def charged(session: Session, lease: Billed) -> Money:
    """What the lease is charged by now, credits deducted."""
    price = _totals(session, lease).of(PRICE, lease.price_per_accelerator_hour.currency)
    return Money(price.charged, price.currency)


# --- writing ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Draft:
    """A charge before it is written."""

    side: str
    kind: str
    piece: Piece
    amount: Money
    party: str
    first: int | None = None
    last: int | None = None


@dataclass
class _Total:
    """The running total of one side and currency of a lease, while it is changed."""

    side: str
    currency: str
    last: int = 0
    weight: Decimal = Decimal(0)
    usage: Decimal = Decimal(0)
    other: Decimal = Decimal(0)
    closed: bool = False

    @property
    def charged(self) -> Decimal:
        return self.usage + self.other

    def add(
        self, *, weight: Decimal | None = None, usage: Decimal = Decimal(0), other: Decimal = Decimal(0), last: int = 0
    ) -> None:
        self.weight = self.weight if weight is None else weight
        self.usage, self.other, self.last = self.usage + usage, self.other + other, max(self.last, last)


class _totals:
    """The running totals of one lease: read once, changed, saved once."""

    def __init__(self, session: Session, lease: Billed) -> None:
        self._lease = lease
        query = select(AccrualRow).where(AccrualRow.lease_id == lease.id)
        self._rows = {(row.side, row.currency): row for row in session.scalars(query)}
        self._totals = {
            key: _Total(row.side, row.currency, row.last, row.weight, row.usage, row.other, row.closed)
            for key, row in self._rows.items()
        }

    def of(self, side: str, currency: str) -> _Total:
        return self._totals.setdefault((side, currency), _Total(side, currency))

    def save(self, session: Session) -> None:
        for key, total in self._totals.items():
            row = self._rows.get(key)
            if row is None:
                row = AccrualRow(
                    lease_id=self._lease.id,
                    side=total.side,
                    currency=total.currency,
                    organisation_id=self._lease.organisation,
                    project_id=self._lease.project,
                )
                session.add(row)
            row.last, row.weight, row.closed = total.last, total.weight, total.closed
            row.usage, row.other = total.usage, total.other
        session.flush()


def _post(
    session: Session,
    lease: Billed,
    lines: Sequence[Line],
    kind: str,
    reference: str,
    sentence: str,
    now: datetime,
    actor: Actor = SYSTEM,
) -> Transaction | None:
    """The transaction, or None where every line is zero: what costs nothing moves no money."""
    if not any(amount.amount for _, amount in lines):
        return None
    return ledger.post(
        session,
        lines=lines,
        reference=reference,
        kind=kind,
        organisation=lease.organisation,
        project=lease.project,
        lease=lease.id,
        sentence=sentence,
        actor=actor,
        now=now,
    )


def _write(
    session: Session,
    lease: Billed,
    drafts: Sequence[_Draft],
    posted: Transaction | None,
    now: datetime,
    sentence: str = "",
) -> None:
    rows: list[dict[str, Any]] = [
        {
            "id": ids.new("chg", now),
            "transaction_id": posted.id if posted else None,
            "lease_id": lease.id,
            "organisation_id": lease.organisation,
            "project_id": lease.project,
            "side": draft.side,
            "kind": draft.kind,
            "day": draft.piece.day,
            "party": draft.party,
            "first": draft.first,
            "last": draft.last,
            "units": Decimal(draft.piece.units),
            "rate": draft.piece.rate.amount,
            "amount": draft.amount.amount,
            "currency": draft.amount.currency,
            "sentence": sentence,
        }
        for draft in drafts
    ]
    if rows:
        session.execute(insert(_CHARGES), rows)
