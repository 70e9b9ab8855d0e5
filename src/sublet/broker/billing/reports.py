"""What was charged, what it cost us and what is left, as queries over the charges; and the proof that the books agree.

Days are UTC days, intervals of days are half-open: [since, until).
"""

from __future__ import annotations

from collections import defaultdict
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from sublet.broker.billing import accounts, ledger, rating
from sublet.broker.billing.rating import Piece
from sublet.broker.billing.tables import AccrualRow, ChargeRow
from sublet.broker.billing.values import Charge, Cost, Fault, Margin
from sublet.broker.errors import Invalid
from sublet.broker.metering import service as metering
from sublet.broker.metering.values import hours
from sublet.broker.tenants.rights import permit
from sublet.broker.tenants.values import Actor
from sublet.storage.schema import exact_sum
from sublet.units import Money

_CHARGE = ChargeRow.__table__.c
_ACCRUAL = AccrualRow.__table__.c

GROUPS = {
    "lease": _CHARGE.lease_id,
    "project": _CHARGE.project_id,
    "organisation": _CHARGE.organisation_id,
    "day": _CHARGE.day,
    "kind": _CHARGE.kind,
}
"""What costs and margins may be summed by."""


def charges(
    session: Session,
    *,
    organisation: str | None = None,
    project: str | None = None,
    lease: str | None = None,
    since: date | None = None,
    until: date | None = None,
    after: str = "",
    limit: int = 100,
    actor: Actor,
) -> tuple[Charge, ...]:
    """What tenants were charged, line by line, from the id `after` on: what an invoice or an export is made of."""
    permit(actor, "cost.read", organisation=organisation, project=project)
    query = _within(select(ChargeRow), actor, organisation, project, lease, since, until)
    query = query.where(_CHARGE.side == "price", _CHARGE.id > after).order_by(_CHARGE.id).limit(limit)
    return tuple(charge(row) for row in session.scalars(query))


def costs(
    session: Session,
    *,
    by: str = "lease",
    organisation: str | None = None,
    project: str | None = None,
    lease: str | None = None,
    since: date | None = None,
    until: date | None = None,
    actor: Actor,
) -> tuple[Cost, ...]:
    """What tenants were charged in [since, until), by one of GROUPS and currency. Each sees its own."""
    permit(actor, "cost.read", organisation=organisation, project=project)
    query = select(_group(by), _CHARGE.currency, _CHARGE.kind, exact_sum(_CHARGE.amount), exact_sum(_CHARGE.units))
    query = _within(query, actor, organisation, project, lease, since, until).where(_CHARGE.side == "price")
    sums: dict[tuple[str, str], list[Decimal]] = defaultdict(lambda: [Decimal(0)] * 3)
    for name, currency, kind, amount, units in session.execute(
        query.group_by(_group(by), _CHARGE.currency, _CHARGE.kind)
    ):
        charged, back, used = sums[str(name), currency]
        given = -amount if kind in _GIVEN_BACK else Decimal(0)
        sums[str(name), currency] = [charged + amount + given, back + given, used + units]
    return tuple(
        Cost(name, Money(charged, currency), Money(back, currency), hours(int(used)))
        for (name, currency), (charged, back, used) in sorted(sums.items())
    )


def margin(
    session: Session,
    since: date | None = None,
    until: date | None = None,
    *,
    by: str = "",
    actor: Actor,
) -> tuple[Margin, ...]:
    """What is left of leases in [since, until): revenue less credits less cost of supply, by currency. For the house.

    `by` is one of GROUPS, or "" for one sum per currency. The cost is that of node-hours in leases, paid for by a
    tenant or not; node-hours that no lease had are the contracts' business (`supply.position`).
    """
    permit(actor, "ledger.read")
    names = [_group(by)] if by else []
    query = select(*names, _CHARGE.side, _CHARGE.kind, _CHARGE.currency, exact_sum(_CHARGE.amount).label("amount"))
    query = query.add_columns(exact_sum(_CHARGE.units).label("units"))
    query = _within(query, actor, None, None, None, since, until)
    sums: dict[tuple[str, str], dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for row in session.execute(query.group_by(*names, _CHARGE.side, _CHARGE.kind, _CHARGE.currency)):
        found = sums[str(row[0]) if by else "", row.currency]
        what = row.side if row.side == "cost" else "credits" if row.kind in _GIVEN_BACK else "revenue"
        found[what] += -row.amount if what == "credits" else row.amount
        found[f"{row.side} units"] += row.units
    return tuple(
        Margin(
            name=name,
            revenue=Money(found["revenue"], currency),
            credits=Money(found["credits"], currency),
            cost=Money(found["cost"], currency),
            accelerator_hours=hours(int(found["price units"])),
            node_hours=hours(int(found["cost units"])),
        )
        for (name, currency), found in sorted(sums.items())
    )


_GIVEN_BACK = ("credit", "lost-time")
"""Kinds of charges that are booked on the credits account."""


def verify(session: Session) -> tuple[Fault, ...]:
    """Whether usage, charges, running totals and ledger agree, lease by lease; () when they do."""
    faults = [Fault("", fault.sentence) for fault in ledger.verify(session)]
    leases = session.scalars(select(_ACCRUAL.lease_id).distinct().order_by(_ACCRUAL.lease_id)).all()
    for lease in leases:
        faults += [Fault(lease, sentence) for sentence in _faults(session, lease)]
    orphaned = select(_CHARGE.lease_id).where(_CHARGE.lease_id.not_in(select(_ACCRUAL.lease_id))).distinct()
    faults += [Fault(lease, f"{lease} has charges and no running total") for lease in session.scalars(orphaned)]
    return tuple(faults)


def _faults(session: Session, lease: str) -> list[str]:
    faults = []
    totals = {(row.side, row.currency): row for row in session.scalars(_of(AccrualRow, lease))}
    lines = list(session.scalars(_of(ChargeRow, lease).order_by(ChargeRow.id)))
    used = metering.records(session, lease)
    for (side, currency), total in sorted(totals.items()):
        mine = [line for line in lines if (line.side, line.currency) == (side, currency)]
        sums = {
            "usage": sum((line.amount for line in mine if line.kind == "usage"), Decimal(0)),
            "other": sum((line.amount for line in mine if line.kind != "usage"), Decimal(0)),
        }
        for what, said in (("usage", total.usage), ("other", total.other)):
            if sums[what] != said:
                faults.append(
                    f"{lease}: {side} charges of {what} sum to {sums[what]} {currency}, the total says {said}"
                )
        usage = [line for line in mine if line.kind == "usage"]
        weight = rating.weight(Piece(line.day, Money(line.rate, currency), int(line.units)) for line in usage)
        if weight != total.weight or rating.amount(weight) != total.usage:
            faults.append(
                f"{lease}: its {side} units x rates make {rating.amount(weight)} {currency}, not {total.usage}"
            )
    price = [line for line in lines if line.side == "price" and line.kind == "usage"]
    last = max((row.last for (side, _), row in totals.items() if side == "price"), default=0)
    ours = [record for record in used if record.number <= last]
    wanted = sum(record.microseconds * record.accelerators for record in ours if record.billable)
    if int(sum(line.units for line in price)) != wanted:
        faults.append(f"{lease}: {wanted} accelerator-microseconds are metered and others are charged")
    if int(sum(line.units for line in lines if line.side == "cost")) != sum(record.microseconds for record in ours):
        faults.append(f"{lease}: the node time that is metered and the node time that we owe for differ")
    spans = sorted({(line.first, line.last) for line in lines if line.kind == "usage" and line.first and line.last})
    expected = 1
    for first, until in spans:
        if first != expected:
            faults.append(f"{lease}: usage record {expected} is charged not at all or twice")
            break
        expected = until + 1
    for currency in sorted({row.currency for (side, _), row in totals.items() if side == "price"}):
        owner = totals["price", currency].organisation_id
        booked = ledger.balance(session, accounts.receivable(owner), lease=lease).get(currency, Decimal(0))
        said = totals["price", currency].usage + totals["price", currency].other
        if booked != said:
            faults.append(f"{lease}: the ledger says {booked} {currency} and the charges {said}")
    return faults


def _of(row: Any, lease: str) -> Select[Any]:
    return select(row).where(row.lease_id == lease)


def _group(by: str) -> Any:
    if by not in GROUPS:
        raise Invalid(f"costs are summed by {', '.join(GROUPS)}, not by {by!r}")
    return GROUPS[by]


def _day(moment: date, what: str) -> date:
    """A day; a time is one where it is a midnight in UTC."""
    if isinstance(moment, datetime):
        if moment.tzinfo is None or moment.utcoffset() or moment.time() != time():
            raise Invalid(f"{what} is {moment.isoformat()}: charges are kept by UTC day, give a day")
        return moment.date()
    return moment


def _within(
    query: Select[Any],
    actor: Actor,
    organisation: str | None,
    project: str | None,
    lease: str | None,
    since: date | None,
    until: date | None,
) -> Select[Any]:
    if not actor.everywhere:
        query = query.where(_CHARGE.organisation_id == actor.organisation)
        if actor.project is not None:
            query = query.where(_CHARGE.project_id == actor.project)
    wanted = ((_CHARGE.organisation_id, organisation), (_CHARGE.project_id, project), (_CHARGE.lease_id, lease))
    for column, value in wanted:
        if value is not None:
            query = query.where(column == value)
    if since is not None:
        query = query.where(_CHARGE.day >= _day(since, "since"))
    if until is not None:
        query = query.where(_CHARGE.day < _day(until, "until"))
    return query


def charge(row: ChargeRow) -> Charge:
    """The row as a value."""
    return Charge(
        id=row.id,
        transaction=row.transaction_id,
        lease=row.lease_id,
        organisation=row.organisation_id,
        project=row.project_id,
        side=row.side,
        kind=row.kind,
        day=row.day,
        party=row.party,
        hours=hours(int(row.units)),
        rate=Money(row.rate, row.currency),
        amount=Money(row.amount, row.currency),
        sentence=row.sentence,
    )
