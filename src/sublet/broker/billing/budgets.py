"""Budgets: an order that would pass the project's is refused, use is warned of, and what must stop is listed.

Spent is what the project's leases are charged, credits deducted; committed is what its open orders and leases may still
cost. Invariant: an order is accepted only while spent + committed + its own whole cost stay within the budget.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import select
from sqlalchemy.orm import Session

from sublet.broker.audit.log import record
from sublet.broker.billing.tables import AccrualRow, WarningRow
from sublet.broker.errors import Refused
from sublet.broker.tenants import service as tenants
from sublet.broker.tenants.rights import permit
from sublet.broker.tenants.values import SYSTEM, Actor, Project
from sublet.storage import ids
from sublet.storage.schema import exact_sum
from sublet.units import Money

PERCENTS = (50, 80, 100)
"""Shares of the budget at which a warning is given."""

_ACCRUAL = AccrualRow.__table__.c


@dataclass(frozen=True)
class Commitment:
    """What an open order or lease may still cost at most."""

    holder: str  # the order or the lease
    amount: Money


@dataclass(frozen=True)
class Pending:
    """What an open lease used that is not charged yet (`charges.pending`)."""

    lease: str
    project: str
    amount: Money


@dataclass(frozen=True)
class Status:
    """A project's budget at an instant. `left` may be below zero; None where there is no budget."""

    project: str
    budget: Money | None
    spent: tuple[Money, ...]  # one per currency; one of zero where nothing is spent
    committed: tuple[Money, ...]
    left: Money | None
    percent: Decimal | None  # of the budget that is spent
    warned: tuple[int, ...]  # percents of this budget that were warned of
    hard_stop: bool


@dataclass(frozen=True)
class Warning:
    """A share of a budget is used up; given once per project, share and budget."""

    id: str
    organisation: str
    project: str
    percent: int
    budget: Money
    spent: Money
    at: datetime
    sentence: str


@dataclass(frozen=True)
class Stop:
    """A lease that must end because its project's budget is used up and the project chose so."""

    lease: str
    organisation: str
    project: str
    sentence: str


def check(
    session: Session, project: str, commitment: Money, now: datetime, *, committed: Iterable[Commitment] = ()
) -> None:
    """Refuse what would pass the project's budget; a project without one has no limit.

    `committed`: what the project's open orders and leases may still cost, this one not among them. Raises Refused with
    dimension "budget", the limit and the use, or "budget currency" where amounts cannot be added up.
    """
    held = tenants.project(session, project, actor=SYSTEM)
    if held.budget is None:
        return
    open_ = list(committed)
    for amount in [commitment, *_spent(session, project), *(each.amount for each in open_)]:
        if amount.currency != held.budget.currency and amount.amount:
            raise Refused(
                f"the budget of project {held.name!r} is in {held.budget.currency} and {amount} is in"
                f" {amount.currency}: no rate between them is agreed",
                dimension="budget currency",
                limit=held.budget.currency,
                use=amount.currency,
            )
    zero = Money(Decimal(0), held.budget.currency)
    spent = sum((amount for amount in _spent(session, project) if amount.amount), zero)
    waiting = sum((each.amount for each in open_ if each.amount.amount), zero)
    asked = commitment if commitment.amount else zero
    over = spent + waiting + asked - held.budget
    if over > zero:
        raise Refused(
            f"the budget of project {held.name!r} is {held.budget}: {spent} are spent, {waiting} are committed to open"
            f" orders, and this order commits {asked}, which is {over} too much",
            dimension="budget",
            limit=_plain(held.budget),
            use=_plain(spent + waiting),
        )


def status(session: Session, project: str, *, committed: Iterable[Commitment] = (), actor: Actor) -> Status:
    """How a project stands against its budget; NotFound where it is another tenant's."""
    held = tenants.project(session, project, actor=actor)
    permit(actor, "cost.read", organisation=held.organisation, project=project)
    usual = held.budget.currency if held.budget else None
    spent, waiting = _spent(session, project), _sums(each.amount for each in committed)
    left = percent = None
    if held.budget is not None:
        of_budget = [amount for amount in (*spent, *waiting) if amount.currency == usual]
        left = held.budget - sum(of_budget, Money(Decimal(0), held.budget.currency))
        used = next((amount for amount in spent if amount.currency == usual), Money(Decimal(0), held.budget.currency))
        percent = used.ratio(held.budget) * 100 if held.budget.amount else None
    warned = tuple(warning.percent for warning in _given(session, project) if warning.budget == held.budget)
    return Status(project, held.budget, spent, waiting, left, percent, warned, held.hard_stop)


def warn(session: Session, *, pending: Iterable[Pending] = (), now: datetime) -> tuple[Warning, ...]:
    """Give every warning that is due and was not given: 50, 80 and 100 % of each project's budget, once each.

    `pending` counts as spent. A changed budget is warned of anew. Returns the new ones, for whoever tells people.
    """
    new: list[Warning] = []
    for project, spent in _projects(session, tuple(pending)):
        assert project.budget is not None
        due = [percent for percent in PERCENTS if spent.amount * 100 >= project.budget.amount * percent]
        given = {warning.percent for warning in _given(session, project.id) if warning.budget == project.budget}
        new += [_warn(session, project, project.budget, spent, percent, now) for percent in due if percent not in given]
    return tuple(new)


def to_stop(session: Session, *, pending: Iterable[Pending] = ()) -> tuple[Stop, ...]:
    """Leases that are not closed, of projects whose budget is used up and that chose to stop then.

    `pending` counts as spent, and names leases that were not charged yet.
    """
    stops: list[Stop] = []
    running = tuple(pending)
    for project, spent in _projects(session, running):
        assert project.budget is not None
        if not project.hard_stop or spent < project.budget:
            continue
        query = select(_ACCRUAL.lease_id).where(
            _ACCRUAL.project_id == project.id, _ACCRUAL.side == "price", _ACCRUAL.closed.is_(False)
        )
        sentence = f"the budget of project {project.name!r} is used up: {spent} of {project.budget}"
        leases = set(session.scalars(query)) | {each.lease for each in running if each.project == project.id}
        stops += [Stop(lease, project.organisation, project.id, sentence) for lease in sorted(leases)]
    return tuple(stops)


def warnings(session: Session, *, project: str, actor: Actor) -> tuple[Warning, ...]:
    """The warnings that a project was given, oldest first."""
    held = tenants.project(session, project, actor=actor)
    permit(actor, "cost.read", organisation=held.organisation, project=project)
    return tuple(_given(session, project))


def _projects(session: Session, pending: tuple[Pending, ...]) -> list[tuple[Project, Money]]:
    """Projects with a budget of which something is spent, and how much of its currency."""
    query = select(_ACCRUAL.project_id).where(_ACCRUAL.side == "price").distinct()
    found = []
    for id_ in sorted({*session.scalars(query), *(each.project for each in pending)}):
        project = tenants.project(session, id_, actor=SYSTEM)
        if project.budget is not None:
            more = (each.amount for each in pending if each.project == id_)
            spent = {amount.currency: amount for amount in _sums([*_spent(session, id_), *more])}
            if project.budget.currency in spent:
                found.append((project, spent[project.budget.currency]))
    return found


def _spent(session: Session, project: str) -> tuple[Money, ...]:
    query = select(_ACCRUAL.currency, exact_sum(_ACCRUAL.usage), exact_sum(_ACCRUAL.other))
    query = query.where(_ACCRUAL.project_id == project, _ACCRUAL.side == "price")
    rows = session.execute(query.group_by(_ACCRUAL.currency).order_by(_ACCRUAL.currency))
    return tuple(Money(usage + other, currency) for currency, usage, other in rows)


def _sums(amounts: Iterable[Money]) -> tuple[Money, ...]:
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for amount in amounts:
        sums[amount.currency] += amount.amount
    return tuple(Money(total, currency) for currency, total in sorted(sums.items()))


def _warn(session: Session, project: Project, budget: Money, spent: Money, percent: int, now: datetime) -> Warning:
    what = "all" if percent == 100 else f"{percent} %"
    sentence = f"project {project.name!r} has spent {what} of its budget: {spent} of {budget}"
    row = WarningRow(
        id=ids.new("wrn", now),
        organisation_id=project.organisation,
        project_id=project.id,
        percent=percent,
        budget=budget.amount,
        spent=spent.amount,
        currency=budget.currency,
        at=now,
        sentence=sentence,
    )
    session.add(row)
    session.flush()
    record(
        session,
        actor=SYSTEM,
        action="budget.warn",
        target=project.id,
        outcome=f"{percent} %",
        reason=sentence,
        organisation=project.organisation,
        project=project.id,
        now=now,
    )
    return _warning(row)


def _given(session: Session, project: str) -> list[Warning]:
    query = select(WarningRow).where(WarningRow.project_id == project).order_by(WarningRow.id)
    return [_warning(row) for row in session.scalars(query)]


def _warning(row: WarningRow) -> Warning:
    budget, spent = Money(row.budget, row.currency), Money(row.spent, row.currency)
    return Warning(row.id, row.organisation_id, row.project_id, row.percent, budget, spent, row.at, row.sentence)


def _plain(amount: Money) -> str:
    return f"{amount.amount:f} {amount.currency}"
