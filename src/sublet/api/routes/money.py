"""Usage, costs, budgets, receipts, the ledger, margins."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel
from sqlalchemy.orm import Session
from starlette.responses import Response

from sublet.api.context import Reading, reply
from sublet.api.models import money as wire
from sublet.api.models.common import ULID, Moment, id_path
from sublet.api.paging import DEFAULT, Cursor, Limit, until
from sublet.api.routes.common import route
from sublet.api.routes.leases import LEASE
from sublet.api.routes.orders import ProjectFilter, _visible
from sublet.api.routes.tenants import OrganisationFilter
from sublet.broker import compose
from sublet.broker.billing import charges, ledger, receipts, reports
from sublet.broker.billing.ledger import Transaction
from sublet.broker.billing.receipt import Receipt
from sublet.broker.leases import service as leases
from sublet.broker.metering import service as metering
from sublet.broker.tenants.rights import permit

router = APIRouter(tags=["money"])

LeaseFilter = Annotated[str | None, Query(pattern=f"^lea_{ULID}$", description="Of this lease.")]
Since = Annotated[Moment | None, Query(description="From then on.")]
Before = Annotated[Moment | None, Query(description="Before then.")]
FirstDay = Annotated[date | None, Query(description="From that UTC day on.")]
EndDay = Annotated[date | None, Query(description="Before that UTC day.")]
By = Literal["lease", "project", "organisation", "day", "kind"]


@router.get("/usage", response_model=wire.UsagePage, **route("usage.read"))
def usage(
    call: Reading,
    organisation: OrganisationFilter = None,
    project: ProjectFilter = None,
    lease: LeaseFilter = None,
    since: Since = None,
    before: Before = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT,
) -> Response:
    """Usage records: each second of each node, once."""

    def page(session: Session) -> BaseModel:
        _visible(session, project, call)
        if lease is not None:
            leases.get(session, lease, actor=call.actor)
        some = metering.usage(
            session,
            organisation=organisation,
            project=project,
            lease=lease,
            since=since,
            until=before,
            after=cursor or "",
            limit=limit + 1,
            actor=call.actor,
        )
        found, after = until(some, lambda each: each.id, limit)
        return wire.UsagePage(items=[wire.Usage.model_validate(each) for each in found], next=after)

    return reply(call.read(page))


@router.get("/costs", response_model=wire.Costs, **route("cost.read"))
def costs(
    call: Reading,
    by: Annotated[By, Query(description="Summed by.")] = "lease",
    organisation: OrganisationFilter = None,
    project: ProjectFilter = None,
    lease: LeaseFilter = None,
    since: FirstDay = None,
    before: EndDay = None,
) -> Response:
    """What was charged, less what was given back."""

    def found(session: Session) -> BaseModel:
        _visible(session, project, call)
        if lease is not None:
            leases.get(session, lease, actor=call.actor)
        rows = reports.costs(
            session,
            by=by,
            organisation=organisation,
            project=project,
            lease=lease,
            since=since,
            until=before,
            actor=call.actor,
        )
        return wire.Costs(by=by, items=[wire.Cost.model_validate(each) for each in rows])

    return reply(call.read(found))


@router.get("/leases/{lease}/cost", response_model=wire.RunningCost, **route("cost.read"))
def running_cost(call: Reading, lease: str = LEASE) -> Response:
    """What a lease costs up to this second."""

    def found(session: Session) -> BaseModel:
        one = leases.get(session, lease, actor=call.actor)
        permit(call.actor, "cost.read", organisation=one.organisation, project=one.project)
        cost = charges.running_cost(session, one, now=call.now)
        return wire.RunningCost.model_validate({"lease": lease, "at": call.now, "cost": cost})

    return reply(call.read(found))


@router.get("/leases/{lease}/receipt", response_model=wire.Receipt, **route("receipt.read"))
def receipt(call: Reading, lease: str = LEASE) -> Response:
    """The receipt of a lease, once it is settled."""

    def found(session: Session) -> BaseModel:
        one = leases.get(session, lease, actor=call.actor)
        permit(call.actor, "receipt.read", organisation=one.organisation, project=one.project)
        return _receipt(receipts.of_lease(session, lease, actor=call.actor))

    return reply(call.read(found))


@router.get("/receipts", response_model=wire.ReceiptPage, **route("receipt.read"))
def list_receipts(
    call: Reading,
    organisation: OrganisationFilter = None,
    project: ProjectFilter = None,
    since: Since = None,
    before: Before = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT,
) -> Response:
    """Receipts, oldest first."""

    def page(session: Session) -> BaseModel:
        _visible(session, project, call)
        some = receipts.receipts(
            session,
            organisation=organisation,
            project=project,
            since=since,
            until=before,
            after=cursor or "",
            limit=limit + 1,
            actor=call.actor,
        )
        found, after = until(some, lambda each: each.id, limit)
        return wire.ReceiptPage(items=[_receipt(each) for each in found], next=after)

    return reply(call.read(page))


@router.get("/projects/{project}/budget", response_model=wire.Budget, **route("cost.read"))
def budget(call: Reading, project: str = id_path("prj", "project")) -> Response:
    """How a project stands against its budget, all that it has committed counted."""
    found = call.read(lambda session: compose.budget_status(session, project, actor=call.actor))
    return reply(wire.Budget.model_validate(found))


@router.get("/ledger", response_model=wire.Ledger, **route("ledger.read"))
def trial_balance(call: Reading, before: Before = None) -> Response:
    """What stands on each account, and whether the books agree."""

    def found(session: Session) -> BaseModel:
        rows = ledger.balances(session, until=before, actor=call.actor)
        faults = [fault.sentence for fault in ledger.verify(session)]
        items = [
            wire.Balance.model_validate({"account": row.account, "amount": row.amount, "kind": row.side})
            for row in rows
        ]
        return wire.Ledger(balances=items, balanced=not faults, faults=faults)

    return reply(call.read(found))


@router.get("/ledger/transactions", response_model=wire.TransactionPage, **route("ledger.read"))
def transactions(
    call: Reading,
    account: Annotated[str | None, Query(max_length=200)] = None,
    lease: LeaseFilter = None,
    since: Since = None,
    before: Before = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT,
) -> Response:
    """Transactions of the ledger, oldest first."""

    def page(session: Session) -> BaseModel:
        some = ledger.transactions(
            session,
            account=account,
            lease=lease,
            since=since,
            until=before,
            after=cursor or "",
            limit=limit + 1,
            actor=call.actor,
        )
        found, after = until(some, lambda each: each.id, limit)
        return wire.TransactionPage(items=[_transaction(each) for each in found], next=after)

    return reply(call.read(page))


@router.get("/margin", response_model=wire.Margins, **route("ledger.read"))
def margin(
    call: Reading,
    by: Annotated[By | None, Query(description="Summed by; one sum per currency, where it is not given.")] = None,
    since: FirstDay = None,
    before: EndDay = None,
) -> Response:
    """Revenue less credits less the cost of the supply that was used."""
    rows = call.read(lambda session: reports.margin(session, since, before, by=by or "", actor=call.actor))
    return reply(wire.Margins(by=by or "", items=[wire.MarginRow.model_validate(each) for each in rows]))


def _receipt(found: Receipt) -> wire.Receipt:
    return wire.Receipt.model_validate(
        {
            **{name: getattr(found, name) for name in ("id", "lease", "organisation", "project", "order", "issued_at")},
            "outcome": found.outcome,
            "total": found.total,
            "document": receipts.document(found),
        }
    )


def _transaction(found: Transaction) -> wire.Transaction:
    return wire.Transaction.model_validate(
        {
            **{name: value for name, value in vars(found).items() if name != "lines"},
            "lines": [{"account": account, "amount": amount} for account, amount in found.lines],
        }
    )
