"""Offers: what could be had, at what price, seen when, from which source.

Invariant: zero is never a price, an unknown price is no offer, and an offer always says when it was seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal


@dataclass(frozen=True)
class Offer:
    """One dated price of one shape in one place and market."""

    provider: str
    shape: str | None  # instance type, where the source names one
    accelerator: str | None  # canonical name, None where the spelling is ambiguous
    accelerator_raw: str  # as the source spells it
    candidates: tuple[str, ...]  # what an ambiguous spelling may mean; () where it is resolved
    count: int  # accelerators that the price buys
    region: str | None
    zone: str | None
    market: str  # "on-demand" | "spot" | "reserved-1y" | "reserved-3y" | "community" | "serverless" | ...
    price_per_node_hour: Decimal  # for the whole row (all `count` accelerators, host included)
    price_per_accelerator_hour: Decimal
    currency: str
    minimum_accelerators: int
    vcpus: float | None
    memory_gib: float | None
    seen_at: date
    source: str  # "skypilot:2025-05-07/aws.csv:118", "gpurentalprices:2026-08-01"
    flags: tuple[
        str, ...
    ] = ()  # "placeholder", "stale", "foreign-currency", "ambiguous-accelerator", "listed-only", ...
    per_accelerator: bool = False  # priced by the accelerator: any number from `minimum_accelerators` on can be had
    source_url: str = ""  # the page that the price was read from, where the source says so
    first_seen: date | None = None  # since when the source shows this price without a break
