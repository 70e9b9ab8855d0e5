"""One request as its route sees it: who asks, what time it is, and the two ways to the database.

`read` gives one moment of the database; `write` gives the turn to write, answers a repeated request from the stored
reply, and keeps the reply beside what it changed. Invariants: a route opens no transaction of its own; whether the
token's role and scope reach the route's action is settled before the route runs, whose thing it is by the service.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, TypeVar

from fastapi import Depends, Header, Request
from pydantic import BaseModel
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from sublet.api.etags import check, etag
from sublet.api.house import House
from sublet.broker.replies import service as replies
from sublet.broker.replies.service import Reply
from sublet.broker.tenants.rights import permit
from sublet.broker.tenants.tokens import refuse_ended
from sublet.broker.tenants.values import Actor

T = TypeVar("T")

PATIENCE_S = 15.0  # a client is told to come back after this, rather than kept waiting
JSON = "application/json"
ACTION = "x-sublet-action"  # in the description of each route: its action of the rights table

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        pattern=r"^[\x21-\x7e]+$",
        description="The same request under the same key acts once and gets the same answer for seven days.",
        examples=["0b6c9f0e-6c9d-4d2e-8f0f-2f9d6d1f5c3a"],
    ),
]
IfMatch = Annotated[
    str | None,
    Header(alias="If-Match", max_length=100, description="Change it only if this is still its ETag (412 otherwise)."),
]


@dataclass(frozen=True)
class Call:
    """A request whose token was checked."""

    house: House
    actor: Actor
    now: datetime
    method: str
    path: str
    query: str
    key: str | None = None
    if_match: str | None = None

    def read(self, work: Callable[[Session], T]) -> T:
        """What `work` finds in one moment of the database."""
        with self.house.database.reading() as session:
            return work(session)

    async def read_here(self, work: Callable[[Session], T]) -> T:
        """As `read`, for a route that is asked for all the time: without another thread where nothing is waited for.

        A reader of SQLite waits for nobody; on PostgreSQL the wait is another thread's.
        """
        if self.house.database.dialect == "sqlite":
            return self.read(work)
        return await run_in_threadpool(self.read, work)

    def write(
        self,
        work: Callable[[Session], BaseModel],
        *,
        body: BaseModel | None = None,
        status: int = 200,
        kept: Callable[[BaseModel], BaseModel] | None = None,
        tagged: bool = False,
    ) -> Response:
        """Do `work` in one transaction, once per idempotency key, and answer with what it returns.

        `body`: what was asked for, part of the request's identity. `kept`: what is stored of the answer, where it holds
        a secret. `tagged`: the answer carries an ETag.
        """
        print_ = replies.fingerprint(self.method, self.path, self.query, body.model_dump(mode="json") if body else None)

        def once(session: Session) -> tuple[Reply, bool]:
            refuse_ended(session, self.actor, now=self.now)
            if self.key is not None:
                known = replies.find(session, actor=self.actor, key=self.key, print_=print_)
                if known is not None:
                    return known, True
            made = work(session)
            content = dump(made)
            if self.key is not None:
                replies.keep(
                    session,
                    actor=self.actor,
                    key=self.key,
                    print_=print_,
                    status=status,
                    body=dump(kept(made)) if kept else content,
                    now=self.now,
                )
            return Reply(status, content), False

        reply, again = self.house.database.run(once, patience_s=PATIENCE_S)
        return _answer(reply.body, reply.status, tagged, {"idempotent-replayed": "true"} if again else {})

    def once(self, act: Callable[[], BaseModel], *, body: BaseModel | None = None, status: int = 200) -> Response:
        """Do `act`, which no transaction can undo, once per idempotency key.

        The key is taken before and the answer stored after; where the process dies in between, the same request is told
        so (409) instead of acting twice.
        """
        if self.key is None:
            return _answer(dump(act()), status, False, {})
        key = self.key
        print_ = replies.fingerprint(self.method, self.path, self.query, body.model_dump(mode="json") if body else None)

        def begin(session: Session) -> Reply | None:
            refuse_ended(session, self.actor, now=self.now)
            known = replies.find(session, actor=self.actor, key=key, print_=print_)
            if known is None:
                replies.begin(session, actor=self.actor, key=key, print_=print_, now=self.now)
            return known

        known = self.house.database.run(begin, patience_s=PATIENCE_S)
        if known is not None:
            return _answer(known.body, known.status, False, {"idempotent-replayed": "true"})
        try:
            content = dump(act())
        except Exception:
            self.house.database.run(lambda session: replies.forget(session, actor=self.actor, key=key))
            raise
        self.house.database.run(
            lambda session: replies.keep(
                session, actor=self.actor, key=key, print_=print_, status=status, body=content, now=self.now
            )
        )
        return _answer(content, status, False, {})

    def require(self, current: BaseModel) -> None:
        """PreconditionFailed where If-Match names another version than `current`."""
        check(self.if_match, dump(current))


def reply(document: BaseModel, *, status: int = 200, tagged: bool = False) -> Response:
    """An answer that changes nothing."""
    return _answer(dump(document), status, tagged, {})


def dump(document: BaseModel) -> bytes:
    """The document as the bytes of its JSON."""
    return document.__pydantic_serializer__.to_json(document)


def _answer(content: bytes, status: int, tagged: bool, headers: Mapping[str, str]) -> Response:
    more = {"etag": etag(content)} if tagged and status < 300 else {}
    return Response(content, status, {**headers, **more}, JSON)


async def reading(request: Request) -> Call:
    """A request that changes nothing."""
    return _call(request)


async def writing(request: Request, key: IdempotencyKey = None) -> Call:
    """A request that changes something."""
    return _call(request, key)


async def changing(request: Request, key: IdempotencyKey = None, if_match: IfMatch = None) -> Call:
    """A request that changes something that has versions."""
    return _call(request, key, if_match)


def _call(request: Request, key: str | None = None, if_match: str | None = None) -> Call:
    house: House = request.app.state.house
    actor: Actor = request.scope["state"]["actor"]
    permit(actor, request.scope["route"].openapi_extra[ACTION])
    return Call(
        house=house,
        actor=actor,
        now=house.clock.now(),
        method=request.method,
        path=request.url.path,
        query=request.url.query,
        key=key,
        if_match=if_match,
    )


Reading = Annotated[Call, Depends(reading)]
Writing = Annotated[Call, Depends(writing)]
Changing = Annotated[Call, Depends(changing)]
