"""A synchronous transport to an application in this process: what the embedded broker is spoken to through.

One event loop in a thread of its own runs the application and its lifespan. Invariant: `close` ends the lifespan before
it returns, so nothing of the application outlives the client.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import Future
from typing import Any

import httpx

Message = MutableMapping[str, Any]
App = Callable[
    [MutableMapping[str, Any], Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]
]

START_S = 60.0


class AppTransport(httpx.BaseTransport):
    """Sends requests to `app`. Answers come whole, so an endless stream is not for this transport."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._inner = httpx.ASGITransport(app, client=("127.0.0.1", 0))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="sublet-embedded", daemon=True)
        self._started = False
        self._lock = threading.Lock()
        self._lifespan: Future[None] | None = None
        self._inbox: asyncio.Queue[Message] | None = None
        self._ready: Future[None] = Future()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """One request, in the application's own loop."""
        self._start()
        request.read()
        status, headers, body = asyncio.run_coroutine_threadsafe(self._send(request), self._loop).result()
        return httpx.Response(status, headers=headers, content=body, request=request)

    def close(self) -> None:
        """End the application."""
        with self._lock:
            if not self._started:
                return
            self._started = False
        inbox = self._inbox
        if inbox is not None:
            self._loop.call_soon_threadsafe(inbox.put_nowait, {"type": "lifespan.shutdown"})
        if self._lifespan is not None:
            with contextlib.suppress(Exception):
                self._lifespan.result(START_S)
        asyncio.run_coroutine_threadsafe(self._loop.shutdown_default_executor(), self._loop).result(START_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(START_S)
        self._loop.close()

    def _start(self) -> None:
        with self._lock:
            if self._started:
                return
            self._thread.start()
            self._lifespan = asyncio.run_coroutine_threadsafe(self._live(), self._loop)
            self._started = True
        self._ready.result(START_S)

    async def _send(self, request: httpx.Request) -> tuple[int, Any, bytes]:
        content = request.content
        forward = httpx.Request(
            request.method, request.url, headers=request.headers, content=content, extensions=request.extensions
        )
        response = await self._inner.handle_async_request(forward)
        assert isinstance(response.stream, httpx.AsyncByteStream), "an application answers in bytes"
        body = b"".join([part async for part in response.stream])
        return response.status_code, response.headers, body

    async def _live(self) -> None:
        """The application's lifespan, from its startup to its shutdown."""
        self._inbox = asyncio.Queue()
        self._inbox.put_nowait({"type": "lifespan.startup"})

        async def send(message: Message) -> None:
            if self._ready.done():
                return
            if message["type"] == "lifespan.startup.complete":
                self._ready.set_result(None)
            elif message["type"] == "lifespan.startup.failed":
                self._ready.set_exception(RuntimeError(str(message.get("message", "the application did not start"))))

        try:
            await self._app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, self._inbox.get, send)
        except Exception as error:
            if not self._ready.done():
                self._ready.set_exception(error)
        finally:
            if not self._ready.done():
                self._ready.set_result(None)
