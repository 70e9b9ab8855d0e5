"""Commands on the nodes of a lease, and what they write."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel
from sqlalchemy.orm import Session
from starlette.responses import Response

from sublet.api.context import Call, Reading, Writing, reply
from sublet.api.models import leases as wire
from sublet.api.models.common import id_path
from sublet.api.paging import DEFAULT, Cursor, Limit, until
from sublet.api.routes.common import MUTATING, route
from sublet.api.routes.leases import LEASE
from sublet.broker.errors import BrokerError, Conflict, NotFound
from sublet.broker.runs import service
from sublet.broker.runs.values import Run
from sublet.broker.tenants.rights import permit
from sublet.providers.protocol import Declined, Limits, Process, ProviderUnavailable

router = APIRouter(tags=["runs"])

RUN = id_path("run", "run")
CHUNK = 65_536
MOST = 1_048_576


class Away(BrokerError):
    """The provider does not answer."""

    status = 503
    type = "provider-away"


@router.post("/leases/{lease}/runs", status_code=201, response_model=wire.Run, **route("lease.run", *MUTATING))
def start(wish: wire.NewRun, call: Writing, lease: str = LEASE) -> Response:
    """Start a command on a node of the lease; it ends with the lease at the latest."""
    house = call.house

    def act() -> BaseModel:
        made = house.database.run(
            lambda session: service.begin(
                session, lease, argv=wish.argv, node=wish.node, job=wish.job, actor=call.actor, now=call.now
            )
        )
        try:
            process = _started(call, made, wish)
        except BrokerError as refusal:
            why = str(refusal)
            if not isinstance(refusal, Away):  # where nobody answered it may run: `follow` looks again
                house.database.run(
                    lambda session: service.ended(session, made.id, status=None, reason=why, now=house.clock.now())
                )
            raise
        started = house.database.run(
            lambda session: service.started(session, made.id, process=process.id, now=house.clock.now())
        )
        return wire.Run.model_validate(started)

    return call.once(act, body=wish, status=201)


@router.get("/leases/{lease}/runs", response_model=wire.RunPage, **route("lease.read"))
def runs(call: Reading, lease: str = LEASE, cursor: Cursor = None, limit: Limit = DEFAULT) -> Response:
    """The commands of a lease, oldest first."""

    def page(session: Session) -> BaseModel:
        some = service.runs(session, lease, actor=call.actor, after=cursor, limit=limit + 1)
        found, after = until(some, lambda each: each.id, limit)
        return wire.RunPage(items=[wire.Run.model_validate(each) for each in found], next=after)

    return reply(call.read(page))


@router.get("/leases/{lease}/runs/{run}", response_model=wire.Run, **route("lease.read"))
def run(call: Reading, lease: str = LEASE, run: str = RUN) -> Response:
    """One command, looked at now."""
    found = call.read(lambda session: service.run(session, lease, run, actor=call.actor))
    return reply(wire.Run.model_validate(_looked_at(call, found)))


@router.get("/leases/{lease}/runs/{run}/logs", response_model=wire.Log, **route("lease.run"))
def logs(
    call: Reading,
    lease: str = LEASE,
    run: str = RUN,
    stream: Annotated[Literal["stdout", "stderr"], Query()] = "stdout",
    offset: Annotated[int, Query(ge=0, le=2**53, description="`next` of the part before.")] = 0,
    most: Annotated[int, Query(alias="bytes", ge=1, le=MOST, description="At most so many bytes.")] = CHUNK,
) -> Response:
    """What a command wrote, from an offset on. Ask again from `next` until `ended`."""

    def found(session: Session) -> Run:
        one = service.run(session, lease, run, actor=call.actor)
        permit(call.actor, "lease.run", organisation=one.organisation, project=one.project)
        return one

    one = call.read(found)
    process = _process(call, one)
    if process is None:
        ended = one.ended_at is not None or not one.process
        return reply(wire.Log(stream=stream, offset=offset, next=offset, text="", ended=ended))
    over = process.poll() is not None  # asked first: what is read after it is all there will be
    data = process.output(offset, most) if stream == "stdout" else process.errors(offset, most)
    if over and len(data) < most:
        return reply(wire.Log(stream=stream, offset=offset, next=offset + len(data), text=_text(data), ended=True))
    whole = _whole(data)
    return reply(wire.Log(stream=stream, offset=offset, next=offset + len(whole), text=_text(whole), ended=False))


@router.delete("/leases/{lease}/runs/{run}", response_model=wire.Run, **route("lease.run", *MUTATING))
def stop(call: Writing, lease: str = LEASE, run: str = RUN) -> Response:
    """End a command and every process that it started."""

    def act() -> BaseModel:
        found = call.house.database.run(
            lambda session: service.stop(session, lease, run, actor=call.actor, now=call.now)
        )
        process = _process(call, found)
        if process is not None:
            process.kill()
            process.wait(5.0)
        return wire.Run.model_validate(_looked_at(call, found))

    return call.once(act)


def _started(call: Call, made: Run, wish: wire.NewRun) -> Process:
    provider = call.house.providers.get(made.provider)
    if provider is None:
        raise Conflict(f"provider {made.provider!r} is not connected to this process")
    if not provider.capabilities().executes:
        raise Conflict(f"provider {made.provider!r} runs no commands: log in at the node's address")
    try:
        return provider.execute(
            made.ref,
            wish.argv,
            env={**wish.env, "SUBLET_RUN": made.id},
            cwd=wish.cwd,
            limits=Limits(seconds=wish.seconds),
        )
    except Declined as error:
        raise Conflict(str(error)) from error
    except ProviderUnavailable as error:
        raise Away(str(error)) from error


def _process(call: Call, found: Run) -> Process | None:
    try:
        return service.process_of(call.house.providers, found)
    except ProviderUnavailable as error:
        raise Away(str(error)) from error
    except Declined as error:
        raise NotFound(str(error)) from error


def _looked_at(call: Call, found: Run) -> Run:
    """The command as it is now; that it ended is written down at once."""
    if found.ended_at is not None:
        return found
    process = _process(call, found)
    status = process.poll() if process is not None else None
    if status is None:
        return found
    house, note = call.house, process.note() if process is not None else ""
    return house.database.run(
        lambda session: service.ended(session, found.id, status=status, reason=note, now=house.clock.now())
    )


def _whole(data: bytes) -> bytes:
    """Without a last letter that is not all there yet."""
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte < 0x80:
            return data
        if byte >= 0xC0:
            length = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return data[:-back] if back < length and len(data) > back else data
    return data


def _text(data: bytes) -> str:
    return data.decode("utf-8", errors="replace")
