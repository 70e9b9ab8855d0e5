"""Webhooks, deliveries and events as values, and how patiently a deaf address is called again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

KINDS: Mapping[str, str] = {
    "lease.state": "a lease changed its state",
    "lease.notice": "a lease will end soon",
    "lease.node": "a node of a lease was lost, replaced or came back",
    "lease.change": "a lease was extended, shortened or renewed",
    "lease.alert": "a lease needs a person",
    "order": "an order was placed, approved, refused, cancelled, or left the waitlist",
    "budget": "a project passed 50, 80 or 100 % of its budget",
}
"""What can be subscribed to."""

RETRIES: tuple[timedelta, ...] = tuple(
    timedelta(seconds=seconds) for seconds in (5, 30, 120, 600, 3600, 3 * 3600, 6 * 3600, 12 * 3600, 24 * 3600)
)
"""Waits between attempts: ten attempts over two days; then the delivery is given up."""

CLAIM = timedelta(minutes=2)
"""For so long an attempt belongs to the process that took it."""

DISABLED_AFTER = timedelta(days=5)
"""An address that heard nothing for so long is called no more."""


@dataclass(frozen=True)
class Hook:
    """An address that hears of events, without its secret."""

    id: str
    organisation: str
    project: str | None
    url: str
    kinds: tuple[str, ...]  # (): all
    created_at: datetime
    disabled_at: datetime | None
    disabled_why: str


@dataclass(frozen=True)
class Delivery:
    """One event on its way to one address."""

    id: str
    hook: str
    event: str
    kind: str
    payload: Mapping[str, Any]
    created_at: datetime
    attempts: int
    next_at: datetime | None
    delivered_at: datetime | None
    last_status: int | None
    last_error: str

    @property
    def state(self) -> str:
        """ "delivered", "waiting" or "given up"."""
        if self.delivered_at is not None:
            return "delivered"
        return "waiting" if self.next_at is not None else "given up"


@dataclass(frozen=True)
class Event:
    """Something that happened, as it is told to an address."""

    id: str
    kind: str
    at: datetime
    organisation: str | None
    project: str | None
    data: Mapping[str, Any]


@dataclass(frozen=True)
class Call:
    """One attempt to make: what to send, where, signed with what."""

    delivery: str
    url: str
    secret: str
    body: bytes
    attempt: int


@dataclass(frozen=True)
class Outcome:
    """What an attempt came to."""

    delivery: str
    status: int | None  # None: nobody answered
    error: str = ""
    tried: bool = True  # False: handed back, for the one before it was not answered

    @property
    def heard(self) -> bool:
        """Whether the address took it."""
        return self.status is not None and 200 <= self.status < 300
