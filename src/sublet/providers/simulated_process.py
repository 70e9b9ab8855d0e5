"""A command on a simulated node: its answer was written by a script, and it "runs" on the provider's clock."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass

from sublet.providers.protocol import Clock
from sublet.providers.store import Store


@dataclass(frozen=True)
class Answer:
    """What a command on a simulated node comes to. `seconds=None`: it never ends."""

    status: int = 0
    output: bytes = b""
    errors: bytes = b""
    seconds: float | None = 0.0


class SimulatedProcess:
    """Protocol `Process`, over the provider's stored state; it ends when its node does."""

    def __init__(self, state: Store, clock: Clock, number: int) -> None:
        self._state = state
        self._clock = clock
        self._number = number

    @property
    def id(self) -> str:
        """The command's number at this provider."""
        return str(self._number)

    @property
    def argv(self) -> tuple[str, ...]:
        """What was started."""
        return tuple(json.loads(self._row()["argv"]))

    def poll(self) -> int | None:
        """The status once its time has passed; -9 where its node ended first."""
        row, now = self._row(), self._clock.now().timestamp()
        ends = [row[key] for key in ("ended_at", "dies_at") if row[key] is not None and row[key] <= now]
        if row["ends_at"] is not None and row["ends_at"] <= min([now, *ends]):
            return int(row["status"])
        return -9 if ends else None

    def wait(self, timeout_s: float | None = None) -> int | None:
        """Sleeps on the provider's clock until the end or the timeout, whichever comes first."""
        status = self.poll()
        if status is not None:
            return status
        ends_at = self._row()["ends_at"]
        if ends_at is None and timeout_s is None:
            raise RuntimeError(f"simulated command {self._number} never ends: wait with a timeout")
        left = None if ends_at is None else ends_at - self._clock.now().timestamp()
        self._clock.sleep(min(wait for wait in (left, timeout_s) if wait is not None))
        return self.poll()

    def output(self, offset: int = 0, limit: int | None = None) -> bytes:
        """The scripted output, all of it at once."""
        return _cut(self._row()["output"], offset, limit)

    def errors(self, offset: int = 0, limit: int | None = None) -> bytes:
        """The scripted errors."""
        return _cut(self._row()["errors"], offset, limit)

    def note(self) -> str:
        """Nothing: no machine was there to be measured."""
        return ""

    def kill(self) -> None:
        """It has ended with -9, unless it had ended before."""
        if self.poll() is None:
            with self._state.transaction() as connection:
                connection.execute(
                    "UPDATE commands SET ends_at = ?, status = -9 WHERE id = ?",
                    (self._clock.now().timestamp(), self._number),
                )

    def _row(self) -> sqlite3.Row:
        with self._state.reading() as connection:
            row: sqlite3.Row = connection.execute(
                "SELECT commands.*, nodes.ended_at, nodes.dies_at FROM commands JOIN nodes USING (ref)"
                " WHERE commands.id = ?",
                (self._number,),
            ).fetchone()
        return row


def _cut(data: bytes, offset: int, limit: int | None) -> bytes:
    return bytes(data[offset : None if limit is None else offset + limit])
