"""Leases: read, changed, ended; their history and certificates."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel
from sqlalchemy.orm import Session
from starlette.responses import Response

from sublet.api.context import Reading, Writing, reading, reply
from sublet.api.models import leases as wire
from sublet.api.models.common import id_path
from sublet.api.models.supply import Booking, BookingPage
from sublet.api.paging import DEFAULT, Cursor, Limit, NumberCursor, until
from sublet.api.routes.common import MUTATING, route
from sublet.api.routes.orders import ProjectFilter, _visible
from sublet.broker import compose
from sublet.broker.bookings import service as bookings
from sublet.broker.leases import listing, service

router = APIRouter(tags=["leases"])

LEASE = id_path("lea", "lease")


@router.get("/leases", response_model=wire.LeasePage, **route("lease.read"))
async def leases(
    request: Request,
    project: ProjectFilter = None,
    state: Annotated[wire.LeaseState | None, Query()] = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT,
) -> Response:
    """Leases, oldest first."""
    call = await reading(request)  # asked for all the time: not by way of a dependency, which costs a tenth of it

    def page(session: Session) -> BaseModel:
        _visible(session, project, call)
        some = listing.page(
            session, actor=call.actor, project=project, state=state, after=cursor or "", limit=limit + 1
        )
        found, after = until(some, lambda each: each.id, limit)
        return wire.LeasePage.model_validate({"items": found, "next": after}, from_attributes=True)

    return reply(await call.read_here(page))


@router.get("/leases/{lease}", response_model=wire.Lease, **route("lease.read"))
def lease(call: Reading, lease: str = LEASE) -> Response:
    """One lease."""
    found = call.read(lambda session: service.get(session, lease, actor=call.actor))
    return reply(wire.Lease.model_validate(found))


@router.get("/leases/{lease}/certificates", response_model=wire.Certificates, **route("lease.read"))
def certificates(call: Reading, lease: str = LEASE) -> Response:
    """What the gate found of each node before it was billed, signed with the broker's key."""
    found = call.read(lambda session: service.get(session, lease, actor=call.actor))
    return reply(wire.Certificates(items=[wire.Certificate.model_validate(each) for each in found.members]))


@router.get("/leases/{lease}/reservations", response_model=BookingPage, **route("lease.read"))
def reservations(call: Reading, lease: str = LEASE) -> Response:
    """The nodes' time that is booked for a lease."""

    def page(session: Session) -> BaseModel:
        service.get(session, lease, actor=call.actor)
        found = bookings.of_holder(session, holder=lease)
        return BookingPage(items=[Booking.model_validate(each) for each in found])

    return reply(call.read(page))


@router.get("/leases/{lease}/events", response_model=wire.EventPage, **route("lease.read"))
def events(call: Reading, lease: str = LEASE, cursor: NumberCursor = 0, limit: Limit = DEFAULT) -> Response:
    """What happened to a lease. `GET /v1/events` streams the same as it happens."""

    def page(session: Session) -> BaseModel:
        some = service.events(session, lease, actor=call.actor, after=cursor, limit=limit + 1)
        found, after = until(some, lambda each: str(each.number), limit)
        return wire.EventPage(items=[wire.LeaseEvent.model_validate(each) for each in found], next=after)

    return reply(call.read(page))


@router.post("/leases/{lease}/end", response_model=wire.Lease, **route("lease.end", *MUTATING))
def end(wish: wire.End, call: Writing, lease: str = LEASE) -> Response:
    """End a lease now, or call it off before its start. What the unused time costs is in its terms."""
    return call.write(
        lambda session: wire.Lease.model_validate(
            service.request_end(session, lease, reason=wish.reason, actor=call.actor, now=call.now)
        ),
        body=wish,
    )


@router.post("/leases/{lease}/extend", response_model=wire.Lease, **route("lease.extend", *MUTATING, 410))
def extend(wish: wire.Extension, call: Writing, lease: str = LEASE) -> Response:
    """Keep the nodes longer, where the calendar and the budget allow it."""
    return call.write(
        lambda session: wire.Lease.model_validate(
            compose.extend_lease(
                session,
                lease,
                until=wish.until,
                quote=wish.quote,
                idempotency_key=call.key,
                actor=call.actor,
                now=call.now,
            )
        ),
        body=wish,
    )


@router.post("/leases/{lease}/shorten", response_model=wire.Lease, **route("lease.extend", *MUTATING))
def shorten(wish: wire.Shortening, call: Writing, lease: str = LEASE) -> Response:
    """End earlier than agreed; the freed time is in the calendar at once."""
    return call.write(
        lambda session: wire.Lease.model_validate(
            service.shorten(session, lease, until=wish.until, idempotency_key=call.key, actor=call.actor, now=call.now)
        ),
        body=wish,
    )


@router.post("/leases/{lease}/renew", response_model=wire.Lease, **route("lease.extend", *MUTATING, 410))
def renew(wish: wire.Renewal, call: Writing, lease: str = LEASE) -> Response:
    """The same nodes once more, for as long as was first agreed, at the price of a new quote."""
    return call.write(
        lambda session: wire.Lease.model_validate(
            compose.renew_lease(
                session, lease, quote=wish.quote, idempotency_key=call.key, actor=call.actor, now=call.now
            )
        ),
        body=wish,
    )
