"""What can be sold, and a quote before it is stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sublet.units import Money


@dataclass(frozen=True)
class Sale:
    """Nodes of one kind that take bookings, and what an accelerator-hour of them is sold for."""

    accelerator: str
    shape: str
    provider: str
    region: str
    accelerators_per_node: int
    largest: int  # nodes of the largest cluster: a gang fits into no more
    price: Money  # per accelerator-hour
    rule: str  # why that price, in words
    measured: Mapping[str, float | str] | None  # figures of qualification, where the accelerator has no data sheet


@dataclass(frozen=True)
class Draft:
    """A quote before it is stored; the arguments of `orders.store_quote` that depend on the machine."""

    accelerator: str
    shape: str
    nodes: int
    count: int
    price: Money
    hours: Decimal
    estimate: Mapping[str, Any]
    terms: Mapping[str, Any]
    job: Mapping[str, Any]


@dataclass(frozen=True)
class Refused:
    """Why machines were left out."""

    accelerator: str
    kind: str
    reason: str


@dataclass(frozen=True)
class Answer:
    """Drafts, best first, and what was left out."""

    drafts: tuple[Draft, ...]
    refused: tuple[Refused, ...]
    notes: tuple[str, ...] = ()
