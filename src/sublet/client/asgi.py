"""A synchronous transport to an application in this process: what the embedded broker is spoken to through.

One event loop in a thread of its own runs the application and its lifespan; answers come as they are sent, so a stream
is a stream. Invariant: `close` ends the lifespan before it returns, so nothing of the application outlives the client.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from concurrent.futures import Future
from typing import Any

import httpx

Message = MutableMapping[str, Any]
App = Callable[
    [MutableMapping[str, Any], Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]
]

START_S = 60.0


class AppTransport(httpx.BaseTransport):
    """Sends requests to `app`, which is started by the first of them."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="sublet-embedded", daemon=True)
        self._lock = threading.Lock()
        self._lifespan: _Lifespan | None = None

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """One request, in the application's own loop."""
        self.start()
        exchange = _Exchange(self._app, self._loop, request)
        status, headers = exchange.start()
        return httpx.Response(status, headers=headers, stream=exchange, request=request)

    def close(self) -> None:
        """End the application."""
        with self._lock:
            lifespan, self._lifespan = self._lifespan, None
        if lifespan is None:
            if not self._thread.is_alive() and not self._loop.is_closed():
                self._loop.close()  # nothing was ever asked
            return
        lifespan.stop()
        asyncio.run_coroutine_threadsafe(_end_all(), self._loop).result(START_S)
        asyncio.run_coroutine_threadsafe(self._loop.shutdown_default_executor(), self._loop).result(START_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(START_S)
        self._loop.close()

    def start(self) -> None:
        """Start the application, where no request has yet."""
        with self._lock:
            if self._lifespan is None:
                self._thread.start()
                self._lifespan = _Lifespan(self._app, self._loop)
            lifespan = self._lifespan
        lifespan.ready.result(START_S)


async def _end_all() -> None:
    """End what still runs in this loop (a stream that somebody left open), and wait until it gave back what it held."""
    running = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


class _Lifespan:
    """The application from its startup to its shutdown."""

    def __init__(self, app: App, loop: asyncio.AbstractEventLoop) -> None:
        self.ready: Future[None] = Future()
        self._app = app
        self._loop = loop
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()
        self._inbox.put_nowait({"type": "lifespan.startup"})
        self._task = asyncio.run_coroutine_threadsafe(self._live(), loop)

    def stop(self) -> None:
        """Ask it to end, and wait until it has."""
        self._loop.call_soon_threadsafe(self._inbox.put_nowait, {"type": "lifespan.shutdown"})
        with contextlib.suppress(Exception):
            self._task.result(START_S)

    async def _live(self) -> None:
        try:
            await self._app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, self._inbox.get, self._send)
        except Exception as error:
            if not self.ready.done():
                self.ready.set_exception(error)
        finally:
            if not self.ready.done():
                self.ready.set_result(None)

    async def _send(self, message: Message) -> None:
        if self.ready.done():
            return
        if message["type"] == "lifespan.startup.complete":
            self.ready.set_result(None)
        elif message["type"] == "lifespan.startup.failed":
            self.ready.set_exception(RuntimeError(str(message.get("message", "the application did not start"))))


class _Exchange(httpx.SyncByteStream):
    """One request and its answer, part by part."""

    def __init__(self, app: App, loop: asyncio.AbstractEventLoop, request: httpx.Request) -> None:
        self._app = app
        self._loop = loop
        self._body = request.read()
        self._scope = _scope(request)
        self._head: Future[tuple[int, list[tuple[bytes, bytes]]]] = Future()
        self._parts: queue.Queue[bytes | BaseException | None] = queue.Queue()
        self._gone = asyncio.Event()
        self._asked = False
        self._task: Future[None] | None = None

    def start(self) -> tuple[int, list[tuple[bytes, bytes]]]:
        """Status and headers, as soon as they are sent."""
        self._task = asyncio.run_coroutine_threadsafe(self._run(), self._loop)
        return self._head.result()

    def __iter__(self) -> Iterator[bytes]:
        while (part := self._parts.get()) is not None:
            if isinstance(part, BaseException):
                raise part
            yield part

    def close(self) -> None:
        """Tell the application that nobody listens any more."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._gone.set)

    async def _run(self) -> None:
        try:
            await self._app(self._scope, self._receive, self._send)
        except Exception as error:
            if not self._head.done():
                self._head.set_exception(error)
            self._parts.put(error)
        else:
            if not self._head.done():
                self._head.set_exception(RuntimeError("the application sent no answer"))
        finally:
            self._parts.put(None)

    async def _receive(self) -> Message:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": self._body, "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._head.set_result((message["status"], list(message.get("headers", ()))))
        elif message["type"] == "http.response.body" and (body := message.get("body", b"")):
            self._parts.put(body)


def _scope(request: httpx.Request) -> Message:
    url = request.url
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request.method,
        "headers": [(key.lower(), value) for key, value in request.headers.raw],
        "scheme": url.scheme,
        "path": url.path,
        "raw_path": url.raw_path.split(b"?")[0],
        "query_string": url.query,
        "server": (url.host, url.port or 80),
        "client": ("127.0.0.1", 0),
        "root_path": "",
        "state": {},
    }
