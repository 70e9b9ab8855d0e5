"""The double-entry ledger: transactions go in whole and balanced, and never change.

Invariants: the lines of each transaction sum to zero in each currency; (kind, reference) is posted once; nothing is
changed or removed. The service checks them and the database refuses otherwise (`guards`); `verify` proves them.
Amounts are exact decimals of at most 12 places; nothing is rounded here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, cast

from sqlalchemy import Table, insert, select
from sqlalchemy.engine import Row
from sqlalchemy.orm import Session

from sublet.broker.audit.log import record
from sublet.broker.billing import accounts
from sublet.broker.billing.tables import EntryRow, TransactionRow
from sublet.broker.errors import Conflict, Invalid, NotFound
from sublet.broker.tenants.rights import permit
from sublet.broker.tenants.values import SYSTEM, Actor
from sublet.storage import ids
from sublet.storage.schema import canonical, exact_sum
from sublet.units import Money

PLACES = 12
"""Decimals of the finest amount that the ledger holds."""

LARGEST = 13
"""Power of ten of the largest: sums of such amounts are exact in the 28 digits of a plain Decimal."""

Line = tuple[str, Money]

_ENTRIES, _TRANSACTIONS = cast(Table, EntryRow.__table__), cast(Table, TransactionRow.__table__)
_ENTRY, _TRANSACTION = _ENTRIES.c, _TRANSACTIONS.c


@dataclass(frozen=True)
class Transaction:
    """One transaction with its lines in order: (account, amount), debit above zero, credit below."""

    id: str
    at: datetime
    kind: str
    reference: str
    organisation: str | None
    project: str | None
    lease: str | None
    sentence: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Balance:
    """What stands on an account; `side` is where the balance of its kind grows."""

    account: str
    amount: Money
    side: str


@dataclass(frozen=True)
class Fault:
    """Something that the ledger must never hold."""

    transaction: str | None
    sentence: str


def post(
    session: Session,
    *,
    lines: Sequence[Line],
    reference: str,
    kind: str,
    organisation: str | None = None,
    project: str | None = None,
    lease: str | None = None,
    sentence: str = "",
    actor: Actor = SYSTEM,
    now: datetime,
) -> Transaction:
    """Write one transaction; the same (kind, reference) with the same lines again returns the one that is there.

    Lines of zero are left out. Raises Invalid where the rest does not balance, has no two lines, is finer than 12
    places, or names no account; Conflict where (kind, reference) was posted with other lines.
    """
    wanted = tuple((accounts.check(account), amount) for account, amount in lines if amount.amount)
    _check(wanted, reference)
    before = posted(session, kind, reference)
    if before is not None:
        if before.lines != wanted:
            raise Conflict(f"{kind} {reference} is in the ledger already, with other lines: {before.id}")
        return before
    new = Transaction(ids.new("txn", now), now, kind, reference, organisation, project, lease, sentence, wanted)
    session.execute(
        insert(_ENTRIES),
        [
            {
                "transaction_id": new.id,
                "number": number,
                "account": account,
                "amount": amount.amount,
                "currency": amount.currency,
            }
            for number, (account, amount) in enumerate(wanted, start=1)
        ],
    )
    session.execute(  # after its entries: this row seals them
        insert(_TRANSACTIONS),
        {
            "id": new.id,
            "at": now,
            "kind": kind,
            "reference": reference,
            "organisation_id": organisation,
            "project_id": project,
            "lease_id": lease,
            "sentence": sentence,
        },
    )
    record(
        session,
        actor=actor,
        action=f"ledger.{kind}",
        target=new.id,
        outcome="posted",
        reason=sentence,
        details={"reference": reference, "lines": [f"{account} {_plain(amount)}" for account, amount in wanted]},
        organisation=organisation,
        project=project,
        now=now,
    )
    return new


def _check(lines: Sequence[Line], reference: str) -> None:
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for account, amount in lines:
        if len(canonical(amount.amount).partition(".")[2]) > PLACES or amount.amount.adjusted() > LARGEST:
            raise Invalid(
                f"{reference}: {account} is given {amount.amount}: {PLACES} places at most, below 1E+{LARGEST + 1}"
            )
        sums[amount.currency] += amount.amount
    for currency, total in sums.items():
        if total:
            raise Invalid(f"{reference}: the lines sum to {total} {currency}, not to zero")
    if len(lines) < 2:
        raise Invalid(f"{reference}: a transaction has two lines or more, this has {len(lines)}")


def posted(session: Session, kind: str, reference: str) -> Transaction | None:
    """The transaction of this kind and reference, if it is posted. For rooms, not for tenants."""
    known = session.scalar(
        select(_TRANSACTION.id).where(_TRANSACTION.kind == kind, _TRANSACTION.reference == reference)
    )
    return None if known is None else _read(session, [known])[0]


def transaction(session: Session, id_: str, *, actor: Actor) -> Transaction:
    """One transaction; NotFound where there is none."""
    permit(actor, "ledger.read")
    found = _read(session, [id_])
    if not found:
        raise NotFound("no such transaction")
    return found[0]


def transactions(
    session: Session,
    *,
    account: str | None = None,
    organisation: str | None = None,
    project: str | None = None,
    lease: str | None = None,
    kind: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    after: str = "",
    limit: int = 100,
    actor: Actor,
) -> tuple[Transaction, ...]:
    """Transactions posted in [since, until), oldest first, from the id `after` on. For the house."""
    permit(actor, "ledger.read")
    query = select(_TRANSACTION.id).where(_TRANSACTION.id > after).order_by(_TRANSACTION.id).limit(limit)
    wanted = (
        (_TRANSACTION.organisation_id, organisation),
        (_TRANSACTION.project_id, project),
        (_TRANSACTION.lease_id, lease),
        (_TRANSACTION.kind, kind),
    )
    for column, value in wanted:
        if value is not None:
            query = query.where(column == value)
    if account is not None:
        query = query.where(
            _TRANSACTION.id.in_(select(_ENTRY.transaction_id).where(_ENTRY.account == accounts.check(account)))
        )
    if since is not None:
        query = query.where(_TRANSACTION.at >= since)
    if until is not None:
        query = query.where(_TRANSACTION.at < until)
    return tuple(_read(session, list(session.scalars(query))))


def balances(session: Session, *, until: datetime | None = None, actor: Actor) -> tuple[Balance, ...]:
    """What stands on each account (before `until`), by account and currency. For the house."""
    permit(actor, "ledger.read")
    query = select(_ENTRY.account, _ENTRY.currency, exact_sum(_ENTRY.amount)).group_by(_ENTRY.account, _ENTRY.currency)
    if until is not None:
        query = query.join(TransactionRow, _TRANSACTION.id == _ENTRY.transaction_id).where(_TRANSACTION.at < until)
    return tuple(
        Balance(account, Money(amount, currency), accounts.KINDS[account.partition(":")[0]])
        for account, currency, amount in session.execute(query.order_by(_ENTRY.account, _ENTRY.currency))
    )


def balance(session: Session, account: str, *, lease: str | None = None) -> dict[str, Decimal]:
    """Currency -> what stands on one account, of one lease or of all. For rooms, not for tenants."""
    query = select(_ENTRY.currency, exact_sum(_ENTRY.amount)).where(_ENTRY.account == accounts.check(account))
    if lease is not None:
        query = query.join(TransactionRow, _TRANSACTION.id == _ENTRY.transaction_id)
        query = query.where(_TRANSACTION.lease_id == lease)
    return {row[0]: row[1] for row in session.execute(query.group_by(_ENTRY.currency))}


def verify(session: Session) -> tuple[Fault, ...]:
    """Every fault of the ledger; () when each transaction has its lines and sums to zero in each currency."""
    faults = []
    sums: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    lines: dict[str, int] = defaultdict(int)
    query = select(_ENTRY.transaction_id, _ENTRY.currency, _ENTRY.amount)
    for id_, currency, amount in session.execute(query).yield_per(1000):
        sums[id_, currency] += amount
        lines[id_] += 1
    for (id_, currency), total in sorted(sums.items()):
        if total:
            faults.append(Fault(id_, f"{id_} sums to {total} {currency}, not to zero"))
    known = set(session.scalars(select(_TRANSACTION.id)))
    faults += [Fault(id_, f"{id_} has lines and no transaction") for id_ in sorted(lines.keys() - known)]
    faults += [
        Fault(id_, f"{id_} has {lines.get(id_, 0)} lines, not two or more")
        for id_ in sorted(known)
        if lines.get(id_, 0) < 2
    ]
    return tuple(faults)


def _read(session: Session, wanted: Sequence[str]) -> list[Transaction]:
    """The transactions of these ids, in their order; those that do not exist are left out."""
    if not wanted:
        return []
    lines: dict[str, list[Line]] = defaultdict(list)
    query = select(*_ENTRY).where(_ENTRY.transaction_id.in_(wanted)).order_by(_ENTRY.number)
    for entry in session.execute(query):
        lines[entry.transaction_id].append((entry.account, Money(entry.amount, entry.currency)))
    rows = session.execute(select(*_TRANSACTION).where(_TRANSACTION.id.in_(wanted)))
    found = {row.id: _transaction(row, lines[row.id]) for row in rows}
    return [found[id_] for id_ in wanted if id_ in found]


def _transaction(row: Row[Any], lines: Sequence[Line]) -> Transaction:
    return Transaction(
        id=row.id,
        at=row.at,
        kind=row.kind,
        reference=row.reference,
        organisation=row.organisation_id,
        project=row.project_id,
        lease=row.lease_id,
        sentence=row.sentence,
        lines=tuple(lines),
    )


def _plain(amount: Money) -> str:
    return f"{amount.amount:f} {amount.currency}"
