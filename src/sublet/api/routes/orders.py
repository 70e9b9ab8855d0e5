"""Quotes, orders, approvals, the waitlist."""

from __future__ import annotations

import secrets
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel
from sqlalchemy.orm import Session
from starlette.responses import Response

from sublet.api.context import Call, Reading, Writing, reply
from sublet.api.models import orders as wire
from sublet.api.models.common import ProjectId, id_path
from sublet.api.paging import DEFAULT, Cursor, Limit, cut, until
from sublet.api.problems import NothingFits
from sublet.api.routes.common import MUTATING, route
from sublet.broker import compose
from sublet.broker.errors import Invalid
from sublet.broker.orders import service
from sublet.broker.quoting import desk, shelf
from sublet.broker.quoting import service as quoting
from sublet.broker.quoting.values import Answer
from sublet.broker.tenants import service as tenants
from sublet.broker.tenants.rights import permit

router = APIRouter(tags=["orders"])

ProjectFilter = Annotated[ProjectId | None, Query(description="Of this project.")]


@router.post("/quotes", status_code=201, response_model=wire.Quoted, **route("quote.create", *MUTATING))
def quote(wish: wire.NewQuote, call: Writing) -> Response:
    """Quote a job, or machines and time, on what this broker has; each quote can be ordered until it expires."""
    sales = call.read(lambda session: _allowed(session, wish, call))
    answer, market = _answer(wish, sales, call)  # the estimator thinks outside of every transaction
    if not answer.drafts and not market:
        reasons = "; ".join(dict.fromkeys(f"{each.accelerator}: {each.reason}" for each in answer.refused))
        raise NothingFits(f"nothing here fits: {reasons or 'no nodes are on offer here yet'}")

    def keep(session: Session) -> BaseModel:
        kept = quoting.keep(
            session,
            answer.drafts,
            project=wish.project,
            valid=timedelta(hours=float(wish.valid_hours or Decimal(24))),
            actor=call.actor,
            now=call.now,
        )
        return wire.Quoted(
            quotes=[wire.Quote.model_validate(each) for each in kept],
            rejected=[wire.Rejected.model_validate(each) for each in answer.refused],
            market=market,
            notes=list(answer.notes),
        )

    return call.write(keep, body=wish, status=201)


@router.get("/quotes", response_model=wire.QuotePage, **route("quote.read"))
def quotes(call: Reading, project: ProjectFilter = None, cursor: Cursor = None, limit: Limit = DEFAULT) -> Response:
    """Stored quotes."""

    def page(session: Session) -> BaseModel:
        _visible(session, project, call)
        some = service.quotes(session, project=project, after=cursor, limit=limit + 1, actor=call.actor)
        found, after = until(some, lambda each: each.id, limit)
        return wire.QuotePage(items=[wire.Quote.model_validate(each) for each in found], next=after)

    return reply(call.read(page))


@router.get("/quotes/{quote}", response_model=wire.Quote, **route("quote.read"))
def one_quote(call: Reading, quote: str = id_path("quo", "quote")) -> Response:
    """One quote, expired or not."""
    found = call.read(lambda session: service.quote(session, quote, actor=call.actor))
    return reply(wire.Quote.model_validate(found))


@router.post("/orders", status_code=201, response_model=wire.Order, **route("order.create", *MUTATING, 410))
def place(wish: wire.NewOrder, call: Writing) -> Response:
    """Accept a quote. The order comes back accepted with its lease, waitlisted, or waiting for approval."""
    return call.write(
        lambda session: wire.Order.model_validate(
            compose.place_order(
                session,
                quote=wish.quote,
                start=wish.start,
                window_end=wish.window_end,
                hours=wish.hours,
                nodes=wish.nodes,
                idempotency_key=call.key or secrets.token_hex(16),
                actor=call.actor,
                now=call.now,
            )
        ),
        body=wish,
        status=201,
    )


@router.get("/orders", response_model=wire.OrderPage, **route("order.read"))
def orders(
    call: Reading,
    project: ProjectFilter = None,
    state: Annotated[wire.OrderState | None, Query()] = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT,
) -> Response:
    """Orders."""

    def page(session: Session) -> BaseModel:
        _visible(session, project, call)
        some = service.orders(session, project=project, state=state, after=cursor, limit=limit + 1, actor=call.actor)
        found, after = until(some, lambda each: each.id, limit)
        return wire.OrderPage(items=[wire.Order.model_validate(each) for each in found], next=after)

    return reply(call.read(page))


@router.get("/orders/{order}", response_model=wire.Order, **route("order.read"))
def order(call: Reading, order: str = id_path("ord", "order")) -> Response:
    """One order."""
    found = call.read(lambda session: service.order(session, order, actor=call.actor))
    return reply(wire.Order.model_validate(found))


@router.post("/orders/{order}/approve", response_model=wire.Order, **route("order.approve", *MUTATING))
def approve(wish: wire.Decision, call: Writing, order: str = id_path("ord", "order")) -> Response:
    """Let an order go on that waits for approval."""
    return call.write(
        lambda session: wire.Order.model_validate(
            compose.approve_order(session, order, reason=wish.reason, actor=call.actor, now=call.now)
        ),
        body=wish,
    )


@router.post("/orders/{order}/reject", response_model=wire.Order, **route("order.approve", *MUTATING))
def reject(wish: wire.Decision, call: Writing, order: str = id_path("ord", "order")) -> Response:
    """Refuse an order that waits for approval."""
    return call.write(
        lambda session: wire.Order.model_validate(
            service.reject(session, order, reason=wish.reason, actor=call.actor, now=call.now)
        ),
        body=wish,
    )


@router.post("/orders/{order}/cancel", response_model=wire.Order, **route("order.cancel", *MUTATING))
def cancel(wish: wire.Decision, call: Writing, order: str = id_path("ord", "order")) -> Response:
    """Take an order back; one that became a lease takes it with it, by its terms."""
    return call.write(
        lambda session: wire.Order.model_validate(
            compose.cancel_order(session, order, reason=wish.reason, actor=call.actor, now=call.now)
        ),
        body=wish,
    )


@router.get("/waitlist", response_model=wire.WaitlistPage, **route("order.read"))
def waitlist(call: Reading, project: ProjectFilter = None, cursor: Cursor = None, limit: Limit = DEFAULT) -> Response:
    """Who waits, where they stand, and why. A tenant sees its own entries."""

    def page(session: Session) -> BaseModel:
        _visible(session, project, call)
        every = sorted(service.waitlist(session, project, actor=call.actor), key=lambda each: each.id)
        found, after = cut(every, lambda each: each.id, cursor, limit)
        return wire.WaitlistPage(items=[wire.WaitlistEntry.model_validate(each) for each in found], next=after)

    return reply(call.read(page))


def _allowed(session: Session, wish: wire.NewQuote, call: Call) -> Any:
    """What stands on the shelf, for somebody who may have a quote for this project."""
    project = tenants.project(session, wish.project, actor=call.actor)
    permit(call.actor, "quote.create", organisation=project.organisation, project=project.id)
    return shelf.shelf(session, now=call.now)


def _answer(wish: wire.NewQuote, sales: Any, call: Call) -> tuple[Answer, list[dict[str, Any]]]:
    if (wish.job is None) == (wish.machines is None):
        raise Invalid("give a job or machines, and not both")
    if wish.machines is not None:
        asked = wish.machines
        return desk.machines(sales, shape=asked.shape, nodes=asked.nodes, hours=asked.hours), []
    job = desk.read_job(wish.job or {})
    answer = desk.job(sales, job, hours=wish.hours, limit=wish.limit, today=call.now.date())
    return answer, desk.market(job, limit=wish.limit) if wish.market else []


def _visible(session: Session, project: str | None, call: Call) -> None:
    """Another tenant's project does not exist, not even as a filter."""
    if project is not None:
        tenants.project(session, project, actor=call.actor)
