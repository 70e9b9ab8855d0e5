"""Lease events as they happen, as server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from sublet.api.context import Call, Reading
from sublet.api.models.common import ULID
from sublet.api.models.leases import LeaseEvent as Document
from sublet.api.problems import declared
from sublet.broker.errors import RateLimited
from sublet.broker.leases import history, store
from sublet.broker.leases import service as leases
from sublet.broker.leases.values import LeaseEvent
from sublet.broker.tenants.rights import permit

router = APIRouter(tags=["leases"])

PAGE = 200
_open_streams = 0


@router.get(
    "/events",
    response_class=Response,
    responses={
        200: {
            "description": "A stream: `id` is the event's number, `event` its kind, `data` the event as JSON.",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        },
        **declared(),
    },
    openapi_extra={"x-sublet-action": "lease.read"},
)
async def events(
    request: Request,
    call: Reading,
    lease: Annotated[str | None, Query(pattern=f"^lea_{ULID}$", description="Of this lease alone.")] = None,
    after: Annotated[int | None, Query(ge=0, le=2**53, description="From this event number on; else from now.")] = None,
    last: Annotated[
        int | None, Header(alias="Last-Event-ID", ge=0, le=2**53, description="Where an earlier stream broke off.")
    ] = None,
    follow: Annotated[bool, Query(description="Go on when all is told; else end there.")] = True,
) -> Response:
    """Lease events as they happen. A client that comes back sends Last-Event-ID and misses nothing."""
    global _open_streams
    position = await run_in_threadpool(_begin, call, lease, last if last is not None else after)
    settings = call.house.settings
    if follow and _open_streams >= settings.streams:
        raise RateLimited(f"{settings.streams} streams are open here: come back later", retry_after_s=10)
    return StreamingResponse(
        _stream(request, call, lease, position, follow),
        media_type="text/event-stream",
        headers={"x-accel-buffering": "no"},
    )


def _begin(call: Call, lease: str | None, given: int | None) -> int:
    """Where the stream starts; NotFound and Forbidden are said before it does."""
    with call.house.database.reading() as session:
        permit(call.actor, "lease.read", organisation=call.actor.organisation)
        if lease is not None:
            leases.get(session, lease, actor=call.actor)
        return given if given is not None else history.last_number(session)


async def _stream(request: Request, call: Call, lease: str | None, position: int, follow: bool) -> AsyncIterator[str]:
    global _open_streams
    settings = call.house.settings
    loop = asyncio.get_running_loop()
    started = spoke = loop.time()
    _open_streams += 1
    try:
        yield f"retry: {int(settings.stream_s * 4000)}\n\n"
        while True:
            position_read, told = await run_in_threadpool(_read, call, lease, position)
            for event in told:
                yield _line(event)
                spoke = loop.time()
            moved, position = position_read != position, position_read
            if moved:
                continue
            if not follow or loop.time() - started > settings.stream_limit_s or await request.is_disconnected():
                return
            if loop.time() - spoke > settings.heartbeat_s:
                yield ": still here\n\n"
                spoke = loop.time()
            await asyncio.sleep(settings.stream_s)
    finally:
        _open_streams -= 1


def _read(call: Call, lease: str | None, position: int) -> tuple[int, list[LeaseEvent]]:
    """How far was read, and what of it the token may see."""
    organisation = None if call.actor.everywhere else call.actor.organisation
    with call.house.database.reading() as session:
        found = history.events(session, lease_id=lease, organisation=organisation, after=position, limit=PAGE)
        told = list(found)
        if call.actor.project is not None and lease is None:
            ids = {event.lease_id for event in found}
            mine = {each for each in ids if store.row_of(session, each).project_id == call.actor.project}
            told = [event for event in found if event.lease_id in mine]
    return (found[-1].number if found else position), told


def _line(event: LeaseEvent) -> str:
    data = Document.model_validate(event).model_dump_json()
    return f"id: {event.number}\nevent: lease.{event.kind}\ndata: {data}\n\n"
