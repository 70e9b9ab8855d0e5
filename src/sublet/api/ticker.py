"""The work beside the requests: the engine's passes, webhooks, what a dead process left, old replies dropped.

Each has a thread of its own, in every process; what two of them must not do twice is claimed in the database.
Invariant: nothing that goes wrong here ends the thread, and stopping waits for the pass under way.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from sublet.api import traces
from sublet.api.house import House
from sublet.broker.hooks import delivery
from sublet.broker.proving import recovery
from sublet.broker.proving.procedure import Ground
from sublet.broker.replies import service as replies
from sublet.broker.runs import service as runs
from sublet.storage import durable
from sublet.storage.engine import DatabaseBusy

PURGE_EVERY_S = 3600.0
RESUME_EVERY_S = 5.0
FINISH_S = 5  # for workflows under way when the process stops; another goes on with what is not done

_log = logging.getLogger("sublet.api")


class Ticker:
    """Threads that work until `stop`."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._stopping = threading.Event()
        every = house.settings.tick_s
        self._threads = [
            threading.Thread(target=self._loop, args=(name, work, pause), name=f"sublet-{name}", daemon=True)
            for name, work, pause in (
                ("engine", self._engine, every),
                ("runs", self._runs, every),
                ("webhooks", self._webhooks, every),
                ("resume", self._resume, RESUME_EVERY_S),
                ("purge", self._purge, PURGE_EVERY_S),
            )
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End after the passes under way."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        if durable.ready(self._house.database):
            durable.stop(finish_s=FINISH_S)

    def _loop(self, name: str, work: Callable[[], None], every: float) -> None:
        while not self._stopping.is_set():
            started = time.monotonic()
            try:
                with traces.span(f"sublet.{name}"):
                    work()
            except DatabaseBusy as error:
                _log.warning("%s: the database is away: %s", name, error)
            except Exception:
                self._house.metrics.failed(name)
                _log.exception("%s: a pass failed", name)
            self._stopping.wait(max(0.05, every - (time.monotonic() - started)))

    def _engine(self) -> None:
        if self._house.engine is None:
            return
        started = time.perf_counter()
        report = self._house.engine.tick()
        self._house.metrics.tick(time.perf_counter() - started)
        for _ in getattr(report, "errors", ()):
            self._house.metrics.failed("lease")

    def _runs(self) -> None:
        runs.follow(self._house.database, self._house.providers, self._house.clock.now())

    def _webhooks(self) -> None:
        house = self._house
        while made := delivery.deliver(house.database, house.clock, house.send):
            house.metrics.attempts(made)
            if self._stopping.is_set():
                return

    def _resume(self) -> None:
        house = self._house
        recovery.resume(Ground(house.database, house.providers, house.signer, house.clock))

    def _purge(self) -> None:
        house = self._house
        house.database.run(lambda session: replies.purge(session, now=house.clock.now()))
