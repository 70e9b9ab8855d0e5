"""What every request passes before a route sees it, and every answer on its way out.

In this order: an id (the caller's or a new one), the size of the body, the token, the rate; then the route; then the
access log and the metrics. Written against ASGI itself, so that a request that is refused costs next to nothing.

Invariant: behind the gate `scope["state"]["actor"]` is set for every path under /v1, or the request went no further.
"""

from __future__ import annotations

import logging
import re
import secrets
import threading
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sublet.api import problems
from sublet.api.logs import request_id
from sublet.api.metrics import Metrics
from sublet.api.problems import TooLarge
from sublet.api.settings import Settings
from sublet.broker.errors import Unauthenticated
from sublet.broker.tenants.tokens import digest
from sublet.broker.tenants.values import Actor

Authenticate = Callable[[str, str], Actor]  # (secret, address) -> who that is; raises Unauthenticated, RateLimited
Admit = Callable[[Actor], None]  # raises RateLimited

GUARDED = "/v1"
ALSO_GUARDED = ("/metrics",)
_GIVEN_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_REMEMBERED = 10_000

_log = logging.getLogger("sublet.access")


class Gate:
    """The outermost layer of the application."""

    def __init__(
        self, app: ASGIApp, *, authenticate: Authenticate, admit: Admit, metrics: Metrics, settings: Settings
    ) -> None:
        self.app = app
        self._admit = admit
        self._metrics = metrics
        self._settings = settings
        self._known = KnownActors(authenticate, settings.actor_s)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        identifier = _identifier(headers.get("x-request-id"))
        mark = request_id.set(identifier)
        visit = _Visit(scope, send, identifier)
        started = time.perf_counter()
        try:
            await self._pass(scope, headers, receive, visit)
        finally:
            self._leave(visit, time.perf_counter() - started)
            request_id.reset(mark)

    async def _pass(self, scope: Scope, headers: Headers, receive: Receive, visit: _Visit) -> None:
        state: MutableMapping[str, Any] = scope.setdefault("state", {})
        state["gate"] = self
        limit = self._settings.body_bytes
        try:
            if (length := headers.get("content-length", "0")).isdigit() and int(length) > limit:
                raise TooLarge(f"the body has {length} bytes: this server reads {limit} at most")
            if _guarded(scope["path"]):
                actor = visit.actor = await self._known.actor(_secret(headers), _address(scope))
                state["actor"] = actor
                self._admit(actor)
        except Exception as error:
            await problems.of(error)(scope, receive, visit.send)
            return
        try:
            await self.app(scope, _limited(receive, limit), visit.send)
        except Exception as error:  # not foreseen: answered here, where the request still has its id
            if visit.started:
                raise
            await problems.of(error)(scope, receive, visit.send)

    def forget(self, secret_digest: str | None = None) -> None:
        """Believe a token no longer (all of them where none is named): after a token was revoked."""
        self._known.forget(secret_digest)

    def _leave(self, visit: _Visit, seconds: float) -> None:
        scope = visit.scope
        template = _template(scope)
        self._metrics.request(scope["method"], template, visit.status, seconds)
        if self._settings.access_log:
            actor = visit.actor
            _log.info(
                "%s %s %s",
                scope["method"],
                template,
                visit.status,
                extra={
                    "method": scope["method"],
                    "route": template,
                    "status": visit.status,
                    "duration_ms": round(seconds * 1000, 3),
                    "bytes": visit.sent,
                    "address": _address(scope),
                    "actor": actor.id if actor else None,
                    "organisation": actor.organisation if actor else None,
                },
            )


class KnownActors:
    """Tokens that were checked a moment ago. A hit costs no thread and no query."""

    def __init__(self, authenticate: Authenticate, seconds: float) -> None:
        self._authenticate = authenticate
        self._seconds = seconds
        self._lock = threading.Lock()
        self._known: dict[tuple[str, str], tuple[float, Actor]] = {}

    async def actor(self, secret: str, address: str) -> Actor:
        """Who holds the secret; raises Unauthenticated."""
        key = (digest(secret), address)
        found = self._known.get(key)
        if found is not None and found[0] > time.monotonic():
            return found[1]
        actor = await run_in_threadpool(self._authenticate, secret, address)
        with self._lock:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[key] = (time.monotonic() + self._seconds, actor)
        return actor

    def forget(self, secret_digest: str | None) -> None:
        """Drop one token, or all."""
        with self._lock:
            if secret_digest is None:
                self._known.clear()
            for key in [key for key in self._known if key[0] == secret_digest]:
                del self._known[key]


class _Visit:
    """One request on its way: what was sent of the answer."""

    def __init__(self, scope: Scope, send: Send, identifier: str) -> None:
        self.scope = scope
        self.status = 500
        self.started = False
        self.sent = 0
        self.actor: Actor | None = None
        self._send = send
        self._identifier = identifier.encode("ascii")

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status, self.started = message["status"], True
            headers = [*message.get("headers", ()), (b"x-request-id", self._identifier)]
            headers += [(b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store")]
            message = {**message, "headers": headers}
        elif message["type"] == "http.response.body":
            self.sent += len(message.get("body", b""))
        await self._send(message)


def _limited(receive: Receive, limit: int) -> Callable[[], Awaitable[Message]]:
    """The body, counted: 413 as soon as it is longer than the limit, whatever its headers said.

    As an HTTPException: what else is raised while a body is read, FastAPI takes for a body that does not parse.
    """
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        if message["type"] == "http.request":
            seen += len(message.get("body", b""))
            if seen > limit:
                raise HTTPException(TooLarge.status)
        return message

    return counted


def _template(scope: Scope) -> str:
    """The route's path with its parameters' names: few enough to be a label, and no id is ever one."""
    path = str(getattr(scope.get("route"), "path", "") or "(no route)")
    return GUARDED + path if scope["path"].startswith(GUARDED + "/") and not path.startswith(("(", GUARDED)) else path


def _guarded(path: str) -> bool:
    return path == GUARDED or path.startswith(GUARDED + "/") or path in ALSO_GUARDED


def _secret(headers: Headers) -> str:
    scheme, _, secret = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not secret.strip():
        raise Unauthenticated("this needs a token: send Authorization: Bearer sublet_...")
    return secret.strip()


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else ""


def _identifier(given: str | None) -> str:
    return given if given and _GIVEN_ID.fullmatch(given) else secrets.token_hex(8)
