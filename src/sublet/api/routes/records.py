"""The audit log and webhooks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel
from sqlalchemy.orm import Session
from starlette.responses import Response, StreamingResponse

from sublet.api.context import Reading, Writing, reply
from sublet.api.models import records as wire
from sublet.api.models.common import Moment, ProjectId, id_path
from sublet.api.paging import DEFAULT, Cursor, Limit, NumberCursor, cut, until
from sublet.api.problems import declared
from sublet.api.routes.common import MUTATING, route
from sublet.api.routes.tenants import OrganisationFilter
from sublet.broker.audit import log
from sublet.broker.hooks import service as hooks
from sublet.broker.tenants.rights import own, permit

router = APIRouter(tags=["records"])


@router.get("/audit", response_model=wire.AuditPage, **route("audit.read"))
def audit(
    call: Reading,
    target: Annotated[str | None, Query(max_length=100, description="What it was done to.")] = None,
    project: Annotated[ProjectId | None, Query()] = None,
    actor: Annotated[str | None, Query(max_length=40, description="The id of who did it.")] = None,
    since: Annotated[Moment | None, Query()] = None,
    before: Annotated[Moment | None, Query()] = None,
    cursor: NumberCursor = 0,
    limit: Limit = DEFAULT,
) -> Response:
    """Who did what, when, to what, and why."""

    def page(session: Session) -> BaseModel:
        some = log.entries(
            session,
            actor=call.actor,
            target=target,
            project=project,
            by=actor,
            since=since,
            until=before,
            after=cursor,
            limit=limit + 1,
        )
        found, after = until(some, lambda each: str(each.number), limit)
        return wire.AuditPage(items=[wire.AuditEntry.model_validate(each) for each in found], next=after)

    return reply(call.read(page))


@router.get("/audit/verify", response_model=wire.Chain, **route("doctor.run"))
def verify(
    call: Reading,
    known: Annotated[
        str | None,
        Query(
            pattern=r"^[1-9][0-9]{0,17}:[0-9a-f]{64}$",
            description="NUMBER:DIGEST as an earlier answer had them: finds out whether the log was cut or made anew.",
        ),
    ] = None,
) -> Response:
    """Walk the chain of digests from the first entry to the last."""
    number, _, digest = (known or "").partition(":")

    def chain(session: Session) -> BaseModel:
        permit(call.actor, "doctor.run")
        return wire.Chain.model_validate(log.verify(session, known=(int(number), digest) if known else None))

    return reply(call.read(chain))


@router.get(
    "/audit/export",
    response_class=Response,
    responses={
        200: {"description": "One entry a line.", "content": {"application/x-ndjson": {"schema": {"type": "string"}}}},
        **declared(),
    },
    openapi_extra={"x-sublet-action": "audit.read"},
)
def export(call: Reading) -> Response:
    """Every entry that the token may see, one JSON document a line."""
    permit(call.actor, "audit.read")

    def lines() -> Iterator[str]:
        after = 0
        while True:  # page by page, so that no transaction stays open while a slow client reads
            with call.house.database.reading() as session:
                page = log.entries(session, actor=call.actor, after=after, limit=500)
            if not page:
                return
            for entry in page:
                yield wire.AuditEntry.model_validate(entry).model_dump_json() + "\n"
            after = page[-1].number

    return StreamingResponse(lines(), media_type="application/x-ndjson")


@router.get("/webhooks", response_model=wire.WebhookPage, **route("webhook.read"))
def webhooks(
    call: Reading, organisation: OrganisationFilter = None, cursor: Cursor = None, limit: Limit = DEFAULT
) -> Response:
    """The addresses that hear of events."""

    def page(session: Session) -> BaseModel:
        every = hooks.hooks(session, organisation=organisation, actor=call.actor)
        found, after = cut(every, lambda each: each.id, cursor, limit)
        return wire.WebhookPage(items=[wire.Webhook.model_validate(each) for each in found], next=after)

    return reply(call.read(page))


@router.post("/webhooks", status_code=201, response_model=wire.MadeWebhook, **route("webhook.write", *MUTATING))
def create_webhook(wish: wire.NewWebhook, call: Writing) -> Response:
    """Tell an address. The secret of its signatures is in this answer and nowhere else."""

    def create(session: Session) -> BaseModel:
        made, secret = hooks.create(
            session,
            organisation=own(call.actor, wish.organisation),
            url=wish.url,
            kinds=wish.kinds,
            project=wish.project,
            actor=call.actor,
            now=call.now,
        )
        return wire.MadeWebhook(webhook=wire.Webhook.model_validate(made), secret=secret)

    def without_secret(made: BaseModel) -> BaseModel:
        assert isinstance(made, wire.MadeWebhook), "this is what `create` makes"
        return made.model_copy(update={"secret": None})

    return call.write(create, body=wish, status=201, kept=without_secret)


@router.get("/webhooks/{webhook}", response_model=wire.Webhook, **route("webhook.read"))
def webhook(call: Reading, webhook: str = id_path("hook", "webhook")) -> Response:
    """One address."""
    found = call.read(lambda session: hooks.hook(session, webhook, actor=call.actor))
    return reply(wire.Webhook.model_validate(found))


@router.delete("/webhooks/{webhook}", response_model=wire.Webhook, **route("webhook.write", *MUTATING))
def remove_webhook(call: Writing, webhook: str = id_path("hook", "webhook")) -> Response:
    """Tell the address no more."""
    return call.write(
        lambda session: wire.Webhook.model_validate(hooks.remove(session, webhook, actor=call.actor, now=call.now))
    )


@router.post(
    "/webhooks/{webhook}/ping", status_code=202, response_model=wire.Delivery, **route("webhook.write", *MUTATING)
)
def ping(call: Writing, webhook: str = id_path("hook", "webhook")) -> Response:
    """Send a test event."""
    return call.write(
        lambda session: wire.Delivery.model_validate(hooks.ping(session, webhook, actor=call.actor, now=call.now)),
        status=202,
    )


@router.get("/webhooks/{webhook}/deliveries", response_model=wire.DeliveryPage, **route("webhook.read"))
def deliveries(
    call: Reading,
    webhook: str = id_path("hook", "webhook"),
    cursor: Cursor = None,
    limit: Limit = DEFAULT,
) -> Response:
    """What was sent to an address, newest first."""

    def page(session: Session) -> BaseModel:
        some = hooks.deliveries(session, webhook, actor=call.actor, after=cursor, limit=limit + 1)
        found, after = until(some, lambda each: each.id, limit)
        return wire.DeliveryPage(items=[wire.Delivery.model_validate(each) for each in found], next=after)

    return reply(call.read(page))
