"""Notice a wall clock that jumps, before it ends or bills anything.

The wall clock is held against one that only ticks. A jump forward would end leases and bill hours that never were, so
nothing is done until the clock has stood by its word for a while; a jump back needs every lease woken, or they would
sleep until the clock has caught up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

JUMP = timedelta(seconds=30)
HOLD_S = 120.0


@dataclass(frozen=True)
class Moved:
    """What the clock did since the last pass."""

    hold: bool = False
    back: bool = False
    reason: str = ""


class ClockGuard:
    """`monotonic`: seconds that only tick, such as time.monotonic; None where the clock is moved on purpose."""

    def __init__(self, monotonic: Callable[[], float] | None) -> None:
        self._monotonic = monotonic
        self._last: tuple[datetime, float] | None = None
        self._suspect: float | None = None  # ticking time at which the jump was seen

    def check(self, now: datetime) -> Moved:
        """Whether to go on at `now`."""
        ticks = self._monotonic() if self._monotonic is not None else now.timestamp()
        before, self._last = self._last, (now, ticks)
        if before is None:
            return Moved()
        back = now < before[0]
        if self._monotonic is None:
            return Moved(back=back)
        drift = (now - before[0]) - timedelta(seconds=ticks - before[1])
        if drift > JUMP:
            self._suspect = ticks
        elif drift < -JUMP:
            self._suspect = None  # it went back to where it was, or further: waking the leases is safe
        if self._suspect is not None and ticks - self._suspect < HOLD_S:
            return Moved(hold=True, back=back, reason=f"the clock jumped forward, to {now:%Y-%m-%d %H:%M:%S} UTC")
        self._suspect = None
        return Moved(back=back)
