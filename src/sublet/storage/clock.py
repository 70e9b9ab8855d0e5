"""What time it is: the only door by which the wall clock enters the broker.

Services take `now` as an argument; what lives (engine, API, workers) holds a `Clock` and asks it. Times are always
timezone-aware and in UTC.
"""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Something that knows the time and can wait."""

    def now(self) -> datetime:
        """The present, aware, in UTC."""
        ...

    def sleep(self, seconds: float) -> None:
        """Return when `seconds` have passed on this clock."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        time.sleep(max(0.0, seconds))


class VirtualClock:
    """A clock that moves only when it is told to: for tests, rehearsals and replays.

    `sleep` moves it, so code that waits runs through months in no time. `set` may go back, as real clocks do.
    """

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._now = utc(start)
        self._lock = threading.Lock()

    def now(self) -> datetime:
        with self._lock:
            return self._now

    def sleep(self, seconds: float) -> None:
        self.advance(max(0.0, seconds))

    def advance(self, by: timedelta | float) -> datetime:
        """Move by a timedelta or by seconds; returns the new present."""
        with self._lock:
            self._now += by if isinstance(by, timedelta) else timedelta(seconds=by)
            return self._now

    def set(self, to: datetime) -> datetime:
        """Jump to an aware time, forward or back; returns it in UTC."""
        with self._lock:
            self._now = utc(to)
            return self._now


def utc(moment: datetime) -> datetime:
    """The same moment in UTC; ValueError for a time without a zone, which is a moment nowhere."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment.isoformat()} has no timezone: times are aware, in UTC")
    return moment.astimezone(UTC)
