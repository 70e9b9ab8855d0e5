"""How a call becomes a request and its answer a value: shared by the two clients.

A call that changes something carries an idempotency key, so it is sent again without fear when a connection breaks or
the server is busy. Invariant: a value is what was asked for, or an ApiError or NotReached is raised.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import time
import urllib.parse
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import httpx
import msgspec

from sublet.client.errors import ApiError, NotReached
from sublet.client.values import LeaseEvent
from sublet.units import Money

T = TypeVar("T")

TIMEOUT_S = 60.0
ATTEMPTS = 4
PAGE = 200
AGAIN = frozenset({429, 502, 503, 504})


class Null:
    """Null on the wire; None leaves a field out."""


NULL = Null()


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request and what its answer is: `kind` decodes it, None leaves it as text."""

    method: str
    path: str
    kind: type[T] | Any
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    key: str | None = None
    if_match: str | None = None
    inner: str = ""  # the field of the answer that is meant
    timeout_s: float | None = None


def quoted(name: str) -> str:
    """A name that somebody chose, as one part of a path."""
    return urllib.parse.quote(name, safe="")


def plain(value: Any) -> Any:
    """A value as JSON has it: money and decimals as text, times as RFC 3339."""
    if isinstance(value, Null):
        return None
    if isinstance(value, Money):
        return {"amount": f"{value.amount:f}", "currency": value.currency}
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def prepare(call: Call[Any]) -> tuple[dict[str, Any], bool]:
    """The arguments of the request, and whether it may be sent again."""
    headers: dict[str, str] = {}
    if call.method != "GET":
        headers["idempotency-key"] = call.key or secrets.token_hex(16)
    if call.if_match:
        headers["if-match"] = call.if_match
    query = {key: _query(value) for key, value in call.query.items() if value is not None}
    arguments: dict[str, Any] = {"params": query, "headers": headers}
    if call.body is not None:
        arguments["json"] = plain(call.body)
    elif call.method in ("POST", "PATCH"):
        arguments["json"] = {}
    if call.timeout_s is not None:
        arguments["timeout"] = call.timeout_s
    return arguments, True


def _query(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else plain(value)


def finish(call: Call[T], response: httpx.Response) -> T:
    """The value that the answer is; ApiError where it is a refusal."""
    if response.status_code >= 400:
        raise error_of(response)
    if call.kind is None:
        return response.text  # type: ignore[return-value]
    try:
        if not call.inner:
            value: T = msgspec.json.decode(response.content, type=call.kind)
            return value
        outer = msgspec.json.decode(response.content, type=dict[str, msgspec.Raw])
        value = msgspec.json.decode(outer[call.inner], type=call.kind)
    except (msgspec.DecodeError, KeyError) as error:
        raise NotReached(
            f"what answers at {response.request.url.host} is no Sublet of this version: {error}"
        ) from error
    return value


def error_of(response: httpx.Response) -> ApiError:
    """The refusal that a response is."""
    try:
        problem = response.json()
    except ValueError:
        problem = {}
    wait = response.headers.get("retry-after", "")
    return ApiError(
        response.status_code, problem if isinstance(problem, dict) else {}, float(wait) if wait.isdigit() else None
    )


def pause(attempt: int, response: httpx.Response | None) -> float:
    """Seconds before the next attempt."""
    wait = response.headers.get("retry-after", "") if response is not None else ""
    return min(float(wait), 30.0) if wait.isdigit() else min(0.2 * 2**attempt, 5.0)


def address(url: str | None, token: str | None) -> tuple[str, dict[str, str]]:
    """Where to ask and as whom: the arguments, else SUBLET_URL and SUBLET_TOKEN."""
    where = url or os.environ.get("SUBLET_URL", "")
    if not where:
        raise NotReached("no server is named: give a url, or set SUBLET_URL")
    secret = token or os.environ.get("SUBLET_TOKEN", "")
    headers = {"user-agent": "sublet-python/1"}
    if secret:
        headers["authorization"] = f"Bearer {secret}"
    return where.rstrip("/"), headers


def event_of(lines: list[str]) -> LeaseEvent | None:
    """The event that the lines of a stream are; None for a comment."""
    data = [line[5:].lstrip() for line in lines if line.startswith("data:")]
    return msgspec.json.decode("\n".join(data), type=LeaseEvent) if data else None


class SyncCore:
    """Sends calls, one after the other."""

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        transport: httpx.BaseTransport | None = None,
        timeout_s: float = TIMEOUT_S,
        attempts: int = ATTEMPTS,
    ) -> None:
        where, headers = address(url, token)
        self._attempts = attempts
        self._http = httpx.Client(base_url=where, headers=headers, transport=transport, timeout=timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections (and an embedded broker with them)."""
        self._http.close()

    def _do(self, call: Call[T]) -> T:
        return finish(call, self._send(call))

    def _tagged(self, call: Call[T]) -> tuple[T, str]:
        response = self._send(call)
        return finish(call, response), response.headers.get("etag", "")

    def _send(self, call: Call[Any]) -> httpx.Response:
        arguments, _ = prepare(call)
        for attempt in range(self._attempts):
            last = attempt == self._attempts - 1
            try:
                response = self._http.request(call.method, call.path, **arguments)
            except httpx.TransportError as error:
                if last:
                    raise NotReached(f"no answer from {self._http.base_url}: {error}") from error
                time.sleep(pause(attempt, None))
                continue
            if response.status_code not in AGAIN or last:
                return response
            time.sleep(pause(attempt, response))
        raise AssertionError("the last attempt returns or raises")

    def _pages(self, call: Call[T], limit: int | None = None) -> Iterator[T]:
        left, cursor = limit, None
        while left is None or left > 0:
            size = PAGE if left is None else min(left, PAGE)
            page = self._do(_page(call, size, cursor))
            yield from page.items
            left = None if left is None else left - len(page.items)
            cursor = page.next
            if cursor is None:
                return

    def _stream(self, call: Call[LeaseEvent]) -> Iterator[LeaseEvent]:
        last = call.query.get("after")
        while True:
            query = {key: _query(value) for key, value in {**call.query, "after": last}.items() if value is not None}
            try:
                with self._http.stream("GET", call.path, params=query, timeout=httpx.Timeout(TIMEOUT_S)) as response:
                    if response.status_code >= 400:
                        response.read()
                        raise error_of(response)
                    lines: list[str] = []
                    for line in response.iter_lines():
                        if line:
                            lines.append(line)
                            continue
                        event, lines = event_of(lines), []
                        if event is not None:
                            last = event.number
                            yield event
            except httpx.TransportError:
                time.sleep(1.0)
                continue
            if call.query.get("follow") is False:
                return


class AsyncCore:
    """Sends calls, awaited."""

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        timeout_s: float = TIMEOUT_S,
        attempts: int = ATTEMPTS,
    ) -> None:
        where, headers = address(url, token)
        self._attempts = attempts
        self._http = httpx.AsyncClient(base_url=where, headers=headers, transport=transport, timeout=timeout_s)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _do(self, call: Call[T]) -> T:
        return finish(call, await self._send(call))

    async def _tagged(self, call: Call[T]) -> tuple[T, str]:
        response = await self._send(call)
        return finish(call, response), response.headers.get("etag", "")

    async def _send(self, call: Call[Any]) -> httpx.Response:
        arguments, _ = prepare(call)
        for attempt in range(self._attempts):
            last = attempt == self._attempts - 1
            try:
                response = await self._http.request(call.method, call.path, **arguments)
            except httpx.TransportError as error:
                if last:
                    raise NotReached(f"no answer from {self._http.base_url}: {error}") from error
                await asyncio.sleep(pause(attempt, None))
                continue
            if response.status_code not in AGAIN or last:
                return response
            await asyncio.sleep(pause(attempt, response))
        raise AssertionError("the last attempt returns or raises")

    async def _pages(self, call: Call[T], limit: int | None = None) -> AsyncIterator[T]:
        left, cursor = limit, None
        while left is None or left > 0:
            size = PAGE if left is None else min(left, PAGE)
            page = await self._do(_page(call, size, cursor))
            for item in page.items:
                yield item
            left = None if left is None else left - len(page.items)
            cursor = page.next
            if cursor is None:
                return

    async def _stream(self, call: Call[LeaseEvent]) -> AsyncIterator[LeaseEvent]:
        last = call.query.get("after")
        while True:
            query = {key: _query(value) for key, value in {**call.query, "after": last}.items() if value is not None}
            try:
                async with self._http.stream("GET", call.path, params=query) as response:
                    if response.status_code >= 400:
                        await response.aread()
                        raise error_of(response)
                    lines: list[str] = []
                    async for line in response.aiter_lines():
                        if line:
                            lines.append(line)
                            continue
                        event, lines = event_of(lines), []
                        if event is not None:
                            last = event.number
                            yield event
            except httpx.TransportError:
                await asyncio.sleep(1.0)
                continue
            if call.query.get("follow") is False:
                return


@dataclass(frozen=True)
class Page(Generic[T]):
    """Some of a list, and the cursor of what follows."""

    items: list[T]
    next: str | None = None


def _page(call: Call[T], size: int, cursor: str | None) -> Call[Page[T]]:
    query = {**call.query, "limit": size, "cursor": cursor}
    return Call(call.method, call.path, Page[call.kind], query=query)  # type: ignore[name-defined]
