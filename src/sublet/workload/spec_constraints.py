"""The constraints of a job spec: durations, money, counts and names in the types of `Constraints`.

Invariant: a deadline and a budget are positive, a country is an ISO 3166 code; what is left out stays open.
"""

from __future__ import annotations

from datetime import date
from functools import cache
from pathlib import Path
from typing import TypeVar

from sublet.units import parse_duration, parse_money
from sublet.workload.decode import Origin
from sublet.workload.job import Constraints
from sublet.workload.schema import ConstraintsSpec

T = TypeVar("T")


def read_constraints(spec: ConstraintsSpec, origin: Origin) -> Constraints:
    def label(key: str) -> str:
        return origin.label(("constraints", key))

    deadline = budget = country = day = None
    if spec.deadline is not None:
        with origin.at("constraints", "deadline"):
            deadline = parse_duration(spec.deadline, label("deadline"))
        if deadline <= 0:
            raise origin.error(("constraints", "deadline"), f"{spec.deadline!r} must be longer than nothing")
    if spec.budget is not None:
        with origin.at("constraints", "budget"):
            budget = parse_money(spec.budget, label("budget"))
        if budget.amount <= 0:
            raise origin.error(("constraints", "budget"), f"{spec.budget!r} must be more than nothing")
    if spec.country is not None:
        country = _country(spec.country, origin)
    if spec.on is not None:
        try:
            day = date.fromisoformat(spec.on)
        except ValueError:
            path = ("constraints", "on")
            raise origin.error(path, f"{spec.on!r} is not a date: write for example 2023-08-15") from None
    counts = _several(spec.counts)
    if any(count < 1 for count in counts):
        raise origin.error(("constraints", "counts"), f"names {min(counts)}: a count is 1 or more, for example 512")
    return Constraints(
        deadline_s=deadline,
        budget=budget,
        counts=tuple(sorted(set(counts))),
        min_count=spec.min_count,
        max_count=spec.max_count,
        accelerators=_several(spec.accelerators),
        avoid_accelerators=_several(spec.avoid_accelerators),
        providers=_several(spec.providers),
        avoid_providers=_several(spec.avoid_providers),
        regions=_several(spec.regions),
        avoid_regions=_several(spec.avoid_regions),
        markets=_markets(spec),
        country=country,
        on=day,
    )


def _several(value: T | list[T] | None) -> tuple[T, ...]:
    """One or many or none, as a tuple."""
    if value is None:
        return ()
    return tuple(value) if isinstance(value, list) else (value,)


def _markets(spec: ConstraintsSpec) -> tuple[str, ...]:
    stated: list[str] = [spec.markets] if isinstance(spec.markets, str) else list(spec.markets or ("on-demand",))
    return tuple(dict.fromkeys([*stated, "spot"] if spec.spot else stated))


def _country(text: str, origin: Origin) -> str:
    code = text.strip().upper()
    if code not in _countries():
        hint = " (the United Kingdom is GB)" if code == "UK" else ""
        raise origin.error(
            ("constraints", "country"), f"{text!r} is not an ISO 3166 code of two letters{hint}: write for example DE"
        )
    return code


@cache
def _countries() -> frozenset[str]:
    text = Path(__file__).with_name("data").joinpath("countries.txt").read_text(encoding="utf-8")
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    return frozenset(" ".join(lines).split())
